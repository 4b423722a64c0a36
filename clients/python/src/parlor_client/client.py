"""A server, and the rooms in it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from . import _types as t
from ._decode import encode
from ._follow import Follow
from ._upload import upload
from .errors import MalformedAnswer
from .events import EVENT_CLASSES, Event, Resync, Subscribed, Update
from .http import Http
from .replies import Replies, Reply
from .session import Session, SessionConfig
from .tokens import MemoryTokens, Tokens, TokenStore

REPLY_PATIENCE = 600.0

T = TypeVar("T")


class Client:
    """A server, seen by one account.

    async with Client("http://127.0.0.1:7777") as client:
        await client.log_in("ada", "…")
        await client.room("general").send("hello")
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        tokens: TokenStore | None = None,
        config: SessionConfig | None = None,
    ) -> None:
        """Takes a login from a store, or an access token that is used as it is."""
        if token is not None and tokens is not None:
            raise ValueError("either a token or a store of tokens")
        store = MemoryTokens(Tokens(token)) if token is not None else tokens
        self.http = Http(url, tokens=store)
        self.session = Session(self.http, config)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends everything that this client started."""
        await self.session.close()
        await self.http.close()

    async def log_in(self, username: str, password: str) -> t.User:
        """Logs in and keeps the tokens."""
        return (await self.http.log_in(username=username, password=password)).user

    async def register(self, username: str, password: str, *, invite: str | None = None) -> t.User:
        """Makes an account and keeps the tokens."""
        made = await self.http.register(username=username, password=password, invite=invite)
        return made.user

    async def log_out(self) -> None:
        """Ends the login everywhere, connections included."""
        await self.http.log_out()

    async def me(self) -> t.User:
        """Returns one's own profile."""
        return await self.http.get_me()

    async def upload(
        self,
        name: str,
        content: bytes | Path,
        *,
        progress: Callable[[int], None] | None = None,
    ) -> t.Attachment:
        """Sends a file, in parts that go on after a lost connection, and returns what it became.

        Give its `id` to a message as one of `attachments`. `progress` is called with the number of
        bytes that have arrived.
        """
        return await upload(self.http, name, content, progress=progress)

    def room(self, room: str) -> Room:
        """Returns a room by id or short name. Nothing is asked of the server."""
        return Room(self, room)


class Room:
    """A room by id or short name."""

    def __init__(self, client: Client, ref: str) -> None:
        self.client = client
        self.ref = ref

    async def get(self) -> t.Room:
        """Returns the room as it is now."""
        return await self.client.http.get_room(self.ref)

    async def join(self) -> None:
        """Becomes a member, which one may be already."""
        await self.client.http.put_member(self.ref, "me")

    async def leave(self) -> None:
        """Stops being a member."""
        await self.client.http.delete_member(self.ref, "me")

    async def send(
        self,
        body: str,
        *,
        client_id: str | None = None,
        reply_to: str | None = None,
        thread: str | None = None,
        attachments: Sequence[str] = (),
        timeout: float | None = None,
    ) -> t.Accepted:
        """Writes a message once, and returns when it is kept: its `seq` and its id as `message`.

        It is repeated with the same `client_id` over lost connections. After `timeout` seconds
        `Unanswered` is raised; sending with its `client_id` again still writes it once.
        """
        command: dict[str, Any] = {
            "op": "publish",
            "room": self.ref,
            "client_id": client_id or str(uuid.uuid4()),
            "body": body,
        }
        more = {"reply_to": reply_to, "thread": thread, "attachments": list(attachments)}
        command.update({name: value for name, value in more.items() if value})
        return await self.client.session.request(command, timeout)

    async def ask(
        self, body: str, *, client_id: str | None = None, timeout: float = REPLY_PATIENCE
    ) -> t.PublishAndReply:
        """Writes a message that calls a bot, and waits for the whole reply."""
        answer = await self.client.http.call(
            "POST",
            f"/v1/rooms/{self.ref}/messages",
            t.PublishAndReply,
            query={"wait": "reply"},
            body={"body": body, "client_id": client_id or str(uuid.uuid4())},
            timeout=timeout,
        )
        if not isinstance(answer, t.PublishAndReply):
            raise MalformedAnswer("no reply in the answer")
        return answer

    def updates(self, since: t.Position | int | None = None) -> Feed[Update]:
        """Follows the room: events, signals, `Subscribed` and `Resync`."""
        return Feed(self, since, lambda update: True)

    def events(self, since: t.Position | int | None = None) -> Feed[Event | Resync]:
        """Follows the room's log: each event once, in order, over lost connections.

        `Resync` comes in place of events that cannot be sent any more.
        """
        return Feed(self, since, lambda update: isinstance(update, (*EVENT_CLASSES, Resync)))

    async def replies(self, since: t.Position | int | None = None) -> AsyncIterator[Reply]:
        """Yields bots' replies as they grow, and each once more when it is done."""
        assembled = Replies()
        with self.updates(since) as feed:
            async for update in feed:
                for reply in assembled.take(update):
                    yield reply
                if assembled.hole:
                    assembled.hole = False
                    feed.again()

    async def history(self, *, after: int = 0) -> AsyncIterator[t.Message]:
        """Yields the messages after a position, oldest first."""
        while True:
            page = await self.client.http.list_messages(self.ref, after=after, limit=200)
            for message in page.items:
                yield message
            if not page.items:
                return
            after = page.items[-1].seq

    async def read(self, seq: int) -> None:
        """Moves the read marker."""
        await self.client.session.request({"op": "read", "room": self.ref, "seq": seq})

    async def cancel(self, message: str) -> None:
        """Stops a bot's reply."""
        await self.client.session.request({"op": "cancel", "room": self.ref, "message": message})

    async def command(
        self, text: str, *, client_id: str | None = None, timeout: float | None = None
    ) -> t.CommandAnswer:
        """Carries out a slash command, such as `/topic Tea`, and returns what came of it.

        Only the caller sees the answer; its `kind` says what else is in it. A message that the
        command writes is written once, also when the command is repeated over lost connections.
        """
        command = {
            "op": "command",
            "room": self.ref,
            "client_id": client_id or str(uuid.uuid4()),
            "text": text,
        }
        accepted = await self.client.session.request(command, timeout)
        if accepted.answer is None:
            raise MalformedAnswer("no answer to the command")
        return accepted.answer

    def typing(self, on: bool = True) -> None:
        """Tells whether one writes. It may get lost."""
        self.client.session.tell({"op": "typing", "room": self.ref, "on": on})

    def signal(self, data: Any) -> None:
        """Sends a signal of the program's own to all in the room. It may get lost."""
        self.client.session.tell({"op": "signal", "room": self.ref, "data": encode(data)})


class Feed(Generic[T]):
    """What a room tells, one by one. Leaving the loop, or `close`, stops following.

    A room is followed by one feed of a client at a time.
    """

    def __init__(
        self, room: Room, since: t.Position | int | None, wanted: Callable[[Update], bool]
    ) -> None:
        self._session = room.client.session
        self._wanted = wanted
        self._epoch: str | None = None
        self._seq: int | None = None
        self._follow: Follow | None = self._session.follow(room.ref, since)

    def __enter__(self) -> Feed[T]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __aiter__(self) -> Feed[T]:
        return self

    async def __anext__(self) -> T:
        while (follow := self._follow) is not None:
            update = follow.take()
            if update is None:
                if follow.paused:
                    self.again()
                if follow.failure is not None:
                    failure = follow.failure
                    self.close()
                    raise failure
                await follow.changed.wait()
                continue
            if isinstance(update, Subscribed):
                self._epoch, self._seq = update.epoch, update.seq
            elif isinstance(update, EVENT_CLASSES):
                self._seq = cast(Event, update).seq
            if self._wanted(update):
                return cast(T, update)
        raise StopAsyncIteration

    def __del__(self) -> None:
        self.close()

    @property
    def position(self) -> t.Position | None:
        """The last event that the program took: keep it, and continue there as `since`."""
        if self._epoch is None or self._seq is None:
            return None
        return t.Position(epoch=self._epoch, seq=self._seq)

    def again(self) -> None:
        """Asks for the room again from where it is, which brings the texts of replies so far."""
        if self._follow is not None:
            self._session.again(self._follow)

    def close(self) -> None:
        """Stops following."""
        follow = getattr(self, "_follow", None)
        if follow is not None:
            self._follow = None
            self._session.unfollow(follow)
            follow.changed.set()
