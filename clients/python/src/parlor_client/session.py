"""One WebSocket that stays: connects, resumes, and repeats what was not answered.

Everything runs in one task and the three of the present connection, which end with it. `close`
leaves none behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from . import _types as t
from ._backoff import Backoff
from ._decode import decode
from ._follow import Follow, GiveUp
from ._outbox import Entry, Outbox, as_error
from .errors import (
    MalformedAnswer,
    NotLoggedIn,
    ParlorError,
    Refused,
    SessionClosed,
    SessionEnded,
    Unanswered,
    Unreachable,
)
from .events import read_event, read_signal
from .http import Http, refusal

SUBPROTOCOL = Subprotocol("parlor.v1")
TOKEN_EXPIRED = 4004
# A connection that lived for so long starts the pauses from the beginning.
STABLE = 5.0
# Longest pause that a server may ask for.
PAUSE_MAX = 120.0
RENEWAL_PAUSE = 5.0
SUBSCRIBE_PAUSE = 1.0
# Signals that may wait to be written; they are worth nothing later.
TELLS_MAX = 1_000
FRAME_MAX = 16 * 1024 * 1024
CLOSE_PATIENCE = 2.0


@dataclass(frozen=True, kw_only=True)
class SessionConfig:
    """How a session behaves. Times are in seconds."""

    connect_timeout: float = 10.0
    command_timeout: float = 20.0
    """After this long without an answer the connection is given up, and the command repeated."""
    send_timeout: float = 120.0
    """For how long a message is tried in all before `Unanswered` is raised."""
    backoff_base: float = 0.5
    backoff_cap: float = 30.0
    queued_updates: int = 1_000
    """Updates of a room that may wait for the program."""
    queued_sends: int = 256
    """Messages that may wait for their answer; `send` waits for a place."""
    deltas: t.Deltas = "gathered"
    """How the pieces of replies come."""
    intents: tuple[str, ...] | None = None
    """The families of signals that are wanted; all when absent."""


class _Lost(Exception):
    """The connection ended; the next one may do better."""

    def __init__(self, detail: str, code: int | None = None, wait: float | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.wait = wait


class _Moved(Exception):
    """The server asked to come back, and the time has come."""


class Session:
    """A connection to the server that outlives its sockets."""

    def __init__(self, http: Http, config: SessionConfig | None = None) -> None:
        self.config = config or SessionConfig()
        self.welcome: t.Welcome | None = None
        """What the server said at the beginning of the present or last connection."""
        self.connections = 0
        """How many connections there were."""
        self._http = http
        self._follows: list[Follow] = []
        self._outbox = Outbox()
        self._places = asyncio.Semaphore(self.config.queued_sends)
        self._tells: deque[dict[str, Any]] = deque()
        self._retries: list[tuple[float, Follow]] = []
        self._names = itertools.count(1)
        self._wake = asyncio.Event()
        self._look = asyncio.Event()
        self._ready = asyncio.Event()
        self._backoff = Backoff(self.config.backoff_base, self.config.backoff_cap)
        self._token = ""
        self._stale = False
        self._connected = False
        self._return_at: float | None = None
        self._renew_now = False
        self._heard = 0.0
        self._failure: ParlorError | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to connect, if it has not."""
        if self._failure is not None:
            raise self._failure
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="parlor-session")

    async def ready(self) -> t.Welcome:
        """Waits until there was a connection, and returns what the server said."""
        self.start()
        await self._ready.wait()
        if self.welcome is None:
            raise self._failure or SessionClosed("the session was closed")
        return self.welcome

    async def close(self) -> None:
        """Ends it. Whoever waits for something hears `SessionClosed`."""
        task, self._task = self._task, None
        self._end(SessionClosed("the session was closed"))
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def follow(self, room: str, since: t.Position | int | None) -> Follow:
        """Follows a room from a position, or from now on."""
        self.start()
        if any(room in (follow.asked, follow.id) for follow in self._follows):
            raise RuntimeError(f"the room {room} is followed already")
        follow = Follow(room, since, self.config.queued_updates)
        self._follows.append(follow)
        self.again(follow)
        return follow

    def again(self, follow: Follow) -> None:
        """Asks for a room again from where it is."""
        if self._connected and follow in self._follows and follow.asking is None:
            self._ask(follow)

    def unfollow(self, follow: Follow) -> None:
        """Stops following a room."""
        if follow in self._follows:
            self._follows.remove(follow)
            # What waited for the subscription need not wait any more.
            self._wake.set()
            self.tell({"op": "unsubscribe", "room": follow.id or follow.asked})

    def tell(self, command: dict[str, Any]) -> None:
        """Sends a command whose loss does not matter. Without a connection it is dropped."""
        if self._connected and len(self._tells) < TELLS_MAX:
            self._tells.append(command)
            self._wake.set()

    async def request(self, command: dict[str, Any], timeout: float | None = None) -> t.Accepted:
        """Sends a command until it is answered, over as many connections as it takes.

        When the caller is cancelled, it is not sent again; it may have been carried out.
        """
        self.start()
        patience = self.config.send_timeout if timeout is None else timeout
        try:
            return await asyncio.wait_for(self._request(command), patience)
        except (asyncio.TimeoutError, TimeoutError):
            raise Unanswered(str(command.get("client_id", ""))) from None

    async def _request(self, command: dict[str, Any]) -> t.Accepted:
        async with self._places:
            if self._failure is not None:
                raise self._failure
            entry = Entry(dict(command))
            self._outbox.push(entry)
            self._wake.set()
            try:
                return await entry.answer
            finally:
                self._outbox.remove(entry)

    async def _run(self) -> None:
        try:
            while True:
                try:
                    await self._connect_and_serve()
                except _Moved:
                    continue
                except GiveUp:
                    await asyncio.sleep(self._backoff.next())
                except (_Lost, Unreachable) as lost:
                    await asyncio.sleep(self._pause(lost))
        except asyncio.CancelledError:
            raise
        except ParlorError as failure:
            self._end(failure)
        except Exception as bug:
            # Whoever waits must hear of it.
            self._end(SessionEnded(f"{type(bug).__name__}: {bug}"))
            raise

    def _end(self, failure: ParlorError) -> None:
        self._failure = self._failure or failure
        self._outbox.fail(self._failure)
        for follow in self._follows:
            follow.fail(self._failure)
        self._ready.set()

    def _pause(self, lost: _Lost | Unreachable) -> float:
        """Returns how long to wait before the next attempt."""
        self._stale = isinstance(lost, _Lost) and lost.code == TOKEN_EXPIRED
        fresh, drawn = self._backoff.fresh, self._backoff.next()
        back, self._return_at = self._return_at, None
        asked = lost.wait if isinstance(lost, _Lost) else lost.retry_after
        if back is not None:
            return min(max(0.0, back - time.monotonic()), PAUSE_MAX)
        if self._stale and fresh:
            # Each token has its own time to expire, so there is no crowd to spread.
            return 0.0
        return min((asked or 0.0) + drawn, PAUSE_MAX)

    async def _connect_and_serve(self) -> None:
        socket = await self._open()
        began = time.monotonic()
        try:
            await self._serve(socket)
        finally:
            self._connected = False
            self._outbox.disconnected()
            self._tells.clear()
            self._retries.clear()
            if time.monotonic() - began >= STABLE:
                self._backoff.reset()
            # A cancelled close would leave the socket open.
            await asyncio.shield(_close(socket))

    async def _open(self) -> ClientConnection:
        """Opens a connection with a valid token."""
        token = await self._http.access_token()
        if self._stale and token == self._token:
            token = await self._renewed(token)
        self._stale = False
        try:
            socket = await self._dial(token)
        except Refused as refused:
            if refused.code not in ("token_expired", "unauthenticated"):
                raise
            token = await self._renewed(token)
            socket = await self._dial(token)
        self._token = token
        return socket

    async def _renewed(self, token: str) -> str:
        try:
            return await self._http.renew(token)
        except Refused as refused:
            if refused.passes:
                raise _Lost(refused.detail, wait=refused.retry_after) from refused
            raise

    async def _dial(self, token: str) -> ClientConnection:
        query = f"?deltas={self.config.deltas}"
        if self.config.intents is not None:
            query += "&intents=" + ",".join(self.config.intents)
        socket: ClientConnection | None = None
        welcomed = False
        try:
            socket = await connect(
                "ws" + self._http.url.removeprefix("http") + "/v1/ws" + query,
                subprotocols=[SUBPROTOCOL],
                additional_headers={"Authorization": f"Bearer {token}"},
                user_agent_header=self._http.client_name,
                open_timeout=self.config.connect_timeout,
                close_timeout=CLOSE_PATIENCE,
                # The protocol has a heartbeat of its own.
                ping_interval=None,
                compression=None,
                max_size=FRAME_MAX,
            )
            first = await asyncio.wait_for(socket.recv(), self.config.connect_timeout)
            frame = json.loads(first)
            if frame.get("op") != "welcome":
                raise _Lost(f"{frame.get('op')} in place of welcome")
            self.welcome = decode(t.Welcome, frame)
            welcomed = True
        except InvalidStatus as refused:
            raise _handshake(refused) from refused
        except ConnectionClosed as closed:
            raise _closed(closed) from closed
        except (OSError, asyncio.TimeoutError, ValueError, WebSocketException) as error:
            raise _Lost(f"no connection: {type(error).__name__}") from error
        finally:
            if socket is not None and not welcomed:
                await _close(socket)
        self.connections += 1
        self._ready.set()
        return socket

    async def _serve(self, socket: ClientConnection) -> None:
        """Serves one connection from its beginning to its end."""
        self._connected, self._renew_now, self._heard = True, False, time.monotonic()
        for follow in self._follows:
            follow.connected()
            self._ask(follow)
        self._wake.set()
        tasks = [
            asyncio.create_task(work, name=f"parlor-session-{name}")
            for name, work in (
                ("read", self._read(socket)),
                ("write", self._write(socket)),
                ("keep", self._keep(socket)),
            )
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        failures = [e for e in ended if not isinstance(e, asyncio.CancelledError | None)]
        # The reader knows best why a connection ended: the close frame says it.
        raise failures[0] if failures else _Lost("ended")

    async def _read(self, socket: ClientConnection) -> None:
        try:
            while True:
                text = await socket.recv()
                self._heard = time.monotonic()
                try:
                    frame = json.loads(text)
                    self._take(frame.get("op"), frame)
                except (ValueError, AttributeError, MalformedAnswer) as error:
                    raise _Lost(f"unexpected frame: {error}") from error
        except ConnectionClosed as closed:
            raise _closed(closed) from closed

    def _take(self, op: str | None, frame: dict[str, Any]) -> None:
        if op == "event":
            event = read_event(frame)
            follow = self._find(event.room)
            if follow is not None:
                step = follow.event(event)
                if step is None:
                    self.tell({"op": "unsubscribe", "room": event.room})
                elif step:
                    self._ask(follow)
        elif op == "signal":
            signal = read_signal(frame)
            follow = self._find(signal.room)
            if follow is not None:
                follow.signal(signal)
        elif op == "ok":
            self._outbox.accepted(decode(t.Accepted, frame))
            self._wake.set()
        elif op == "error":
            self._refused(decode(t.Refused, frame))
        elif op == "subscribed":
            self._subscribed(decode(t.Subscribed, frame))
            self._wake.set()
        elif op == "resync":
            self._resync(decode(t.Resync, frame))
        elif op == "drain":
            wait = min(decode(t.Drain, frame).reconnect_in_ms / 1000, PAUSE_MAX)
            self._return_at = time.monotonic() + wait
            self._look.set()

    def _subscribed(self, frame: t.Subscribed) -> None:
        if frame.re is None:
            follow = self._find(frame.room)
            if follow is not None:
                follow.caught_up(frame)
            return
        follow = self._asked(frame.re)
        if follow is None:
            return
        twin = self._find(frame.room)
        if twin is not None and twin is not follow:
            # One connection has one subscription for a room, whatever it was called.
            self._follows.remove(follow)
            follow.fail(RuntimeError(f"the room {follow.asked} is followed already"))
            self._ask(twin)
            return
        follow.subscribed(frame)

    def _resync(self, frame: t.Resync) -> None:
        # The room's id is not known before the first `subscribed`; answers come in order.
        unnamed = (f for f in self._follows if f.id is None and f.asking is not None)
        follow = self._find(frame.room) or next(unnamed, None)
        if follow is not None and follow.resync(frame):
            self._ask(follow)

    def _refused(self, frame: t.Refused) -> None:
        if self._outbox.refused(frame):
            self._wake.set()
            return
        follow = self._asked(frame.re)
        if follow is not None:
            refused = as_error(frame)
            if refused.passes:
                pause = SUBSCRIBE_PAUSE if refused.retry_after is None else refused.retry_after
                self._retries.append((time.monotonic() + min(pause, PAUSE_MAX), follow))
                self._wake.set()
            else:
                self._follows.remove(follow)
                follow.fail(refused)
                self._wake.set()
        elif frame.code == "token_expired":
            self._renew_now = True
            self._look.set()

    def _ask(self, follow: Follow) -> None:
        self._tells.append(follow.subscribe(f"s{next(self._names)}"))
        self._wake.set()

    def _find(self, room: str) -> Follow | None:
        return next((follow for follow in self._follows if follow.id == room), None)

    def _asked(self, name: str | None) -> Follow | None:
        if name is None:
            return None
        return next((follow for follow in self._follows if follow.asking == name), None)

    async def _write(self, socket: ClientConnection) -> None:
        try:
            while True:
                self._wake.clear()
                now = time.monotonic()
                due = [follow for at, follow in self._retries if at <= now]
                self._retries = [(at, follow) for at, follow in self._retries if at > now]
                for follow in due:
                    if follow in self._follows:
                        self._ask(follow)
                while self._tells:
                    await _send(socket, self._tells.popleft())
                for command in self._outbox.ready(self._joining()):
                    await _send(socket, command)
                waits = [at - now for at, _ in self._retries]
                soonest = self._outbox.wake_in()
                if soonest is not None:
                    waits.append(soonest)
                await _wait(self._wake, min(waits, default=None))
        except ConnectionClosed as closed:
            raise _closed(closed) from closed

    def _joining(self) -> set[str]:
        """Returns the names of the rooms whose subscriptions are under way.

        What is written there now might come before the position at which the subscription starts,
        and then the program would wait in vain for its own message.
        """
        asking = [follow for follow in self._follows if follow.asking is not None]
        return {name for follow in asking for name in (follow.asked, follow.id) if name is not None}

    async def _keep(self, socket: ClientConnection) -> None:
        """Sends heartbeats, renews the token, and notices silence."""
        told = self.welcome.heartbeat_ms / 1000 if self.welcome is not None else 0.0
        heartbeat = min(max(told, 0.02), 120.0)
        renewal_pause = 0.0
        while True:
            renew_in = self._http.renew_in()
            if renew_in == 0.0 or self._renew_now:
                self._renew_now = False
                renewal_pause = await self._renew()
                renew_in = self._http.renew_in()
            waits = [heartbeat]
            if renew_in is not None:
                waits.append(max(renew_in, renewal_pause))
            if self._return_at is not None:
                waits.append(max(0.0, self._return_at - time.monotonic()))
            await _wait(self._look, min(waits))
            self._look.clear()
            now = time.monotonic()
            if self._return_at is not None and now >= self._return_at:
                self._return_at = None
                raise _Moved
            if now - self._heard > heartbeat * 2.5:
                raise _Lost("the server is silent")
            if self._outbox.is_overdue(self.config.command_timeout):
                raise _Lost("the server does not answer")
            self.tell({"op": "ping"})

    async def _renew(self) -> float:
        """Renews the token of the open connection. Returns how long not to try again."""
        try:
            self._token = await self._http.renew(self._token)
        except NotLoggedIn:
            raise
        except ParlorError:
            # The server closes with 4004 when the time is up, and then it is tried again.
            return RENEWAL_PAUSE
        self.tell({"op": "refresh", "token": self._token})
        return 0.0


async def _send(socket: ClientConnection, command: dict[str, Any]) -> None:
    await socket.send(json.dumps(command, ensure_ascii=False, separators=(",", ":")))


async def _close(socket: ClientConnection) -> None:
    with contextlib.suppress(OSError, WebSocketException):
        await socket.close()


async def _wait(event: asyncio.Event, timeout: float | None) -> None:
    with contextlib.suppress(asyncio.TimeoutError, TimeoutError):
        await asyncio.wait_for(event.wait(), timeout)


def _closed(closed: ConnectionClosed) -> Exception:
    code = closed.rcvd.code if closed.rcvd is not None else None
    reason = closed.rcvd.reason if closed.rcvd is not None else "the network ended it"
    if code is not None and 4500 <= code <= 4999:
        return SessionEnded(f"the server closed the connection: {reason}", code)
    return _Lost(reason, code)


def _handshake(invalid: InvalidStatus) -> Exception:
    response = invalid.response
    error = refusal(response.status_code, response.headers, bytes(response.body or b""))
    final = isinstance(error, Refused) and 400 <= response.status_code < 500
    if final and response.status_code != 429:
        return error
    return _Lost(f"HTTP status {response.status_code}", wait=getattr(error, "retry_after", None))
