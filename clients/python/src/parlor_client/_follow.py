"""One followed room: where it is in the log, and what waits for the program. No I/O."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from . import _types as t
from .events import SIGNAL_CLASSES, Event, Resync, Signal, Subscribed, Update

# Subscriptions in a row that brought nothing, before the connection is given up.
FRUITLESS_MAX = 5

Command = dict[str, Any]


class GiveUp(Exception):
    """The server keeps leaving holes: connect again after a pause."""


class Follow:
    """A room that a program follows.

    What the program has not taken yet waits in a bounded queue. When it is full, signals are left
    out, and events end the subscription; it continues after the last queued event once the program
    has caught up. So a program that is slow loses nothing and holds nobody up, itself included.
    """

    def __init__(self, asked: str, since: t.Position | int | None, capacity: int) -> None:
        self.asked = asked
        self.id: str | None = None
        self.epoch: str | None = None
        self.seq: int | None = None
        self.queue: deque[Update] = deque()
        self.changed = asyncio.Event()
        self.failure: Exception | None = None
        self.asking: str | None = None
        self.paused = False
        self._since = since
        self._capacity = capacity
        self._held: Subscribed | None = None
        self._fruitless = 0

    def connected(self) -> None:
        """Starts on a new connection."""
        self._fruitless = 0
        self.asking = None

    def subscribe(self, name: str) -> Command:
        """Returns the command that asks for the room from where it is."""
        self.asking, self._held, self.paused = name, None, False
        command: Command = {"op": "subscribe", "id": name, "room": self.id or self.asked}
        if self.seq is not None:
            command["since"] = {"epoch": self.epoch, "seq": self.seq}
        elif isinstance(self._since, t.Position):
            command["since"] = {"epoch": self._since.epoch, "seq": self._since.seq}
        elif self._since is not None:
            command["since"] = self._since
        return command

    def subscribed(self, frame: t.Subscribed) -> None:
        """Takes the answer to a subscription."""
        self.asking = None
        self.id = frame.room
        wanted = self.seq
        if wanted is None:
            wanted = self._since.seq if isinstance(self._since, t.Position) else self._since
        resumed = wanted is not None and frame.resumed
        self.epoch = frame.epoch
        self.seq = wanted if wanted is not None and resumed else frame.seq
        self._since = None
        update = self._said(frame, self.seq)
        if wanted is not None and not resumed:
            # The `resync` that says why comes next, and is told first.
            self._held = update
        else:
            self._put(update)

    def caught_up(self, frame: t.Subscribed) -> None:
        """Takes a `subscribed` that nobody asked for: the texts so far, after pieces were shed."""
        if self.seq is not None and not self.paused:
            self._put(self._said(frame, self.seq))

    def resync(self, frame: t.Resync) -> bool:
        """Takes `resync`. Returns whether the room has to be subscribed again."""
        self.id = frame.room
        told = Resync(room=frame.room, seq=frame.from_, reason=frame.reason)
        if self._held is not None:
            held, self._held = self._held, None
            self._put(told)
            self._put(held)
            return False
        self.epoch, self.seq, self._since = None, None, frame.from_
        self._put(told)
        self._try_again()
        return True

    def event(self, event: Event) -> bool | None:
        """Takes an event. Returns true when it must be asked for again, `None` when paused."""
        if self.seq is None or self.paused or event.seq <= self.seq:
            return False
        if event.seq > self.seq + 1:
            if self.asking is not None:
                return False
            self._try_again()
            return True
        if len(self.queue) >= self._capacity:
            self.paused = True
            return None
        self.seq = event.seq
        self._fruitless = 0
        if self._held is not None:
            held, self._held = self._held, None
            self._put(Resync(room=event.room, seq=event.seq - 1, reason="not_resumed"))
            self._put(held)
        self._put(event)
        return False

    def signal(self, signal: Signal) -> None:
        """Takes a signal, unless the program is behind."""
        if not self.paused and len(self.queue) < self._capacity:
            self._put(signal)

    def fail(self, failure: Exception) -> None:
        """Ends it for the program, after what is queued."""
        self.failure = failure
        self.changed.set()

    def take(self) -> Update | None:
        """Returns the next update, if there is one."""
        if self.queue:
            return self.queue.popleft()
        self.changed.clear()
        return None

    def _try_again(self) -> None:
        self._fruitless += 1
        if self._fruitless > FRUITLESS_MAX:
            raise GiveUp

    def _put(self, update: Update) -> None:
        if isinstance(update, Resync):
            # They belong to a log that the program is about to read again.
            self.queue = deque(one for one in self.queue if not isinstance(one, SIGNAL_CLASSES))
        self.queue.append(update)
        self.changed.set()

    def _said(self, frame: t.Subscribed, seq: int) -> Subscribed:
        return Subscribed(
            room=frame.room,
            slug=frame.slug,
            epoch=frame.epoch,
            seq=seq,
            head=frame.seq,
            streaming=tuple(frame.streaming),
        )
