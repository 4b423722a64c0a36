"""Commands that are kept until they are answered. No I/O."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from typing import Any

from . import _types as t
from .errors import Refused

# The pause before a refused command is repeated, when the server names none, and the longest.
RETRY_PAUSE = 1.0
RETRY_PAUSE_MAX = 120.0

Command = dict[str, Any]


class Entry:
    """A command and who waits for its answer."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self.answer: asyncio.Future[t.Accepted] = asyncio.get_running_loop().create_future()
        self.sent_at: float | None = None
        self.not_before = 0.0

    @property
    def room(self) -> str | None:
        """The room in which it has its place, for messages."""
        return self.command["room"] if self.command["op"] == "publish" else None


class Outbox:
    """Everything without an answer, oldest first. Messages to one room go one after the other."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._last = 0

    def __len__(self) -> int:
        return len(self._entries)

    def push(self, entry: Entry) -> None:
        """Adds a command."""
        self._last += 1
        name = f"c{self._last}"
        entry.command["id"] = name
        self._entries[name] = entry

    def remove(self, entry: Entry) -> None:
        """Forgets a command that nobody waits for."""
        self._entries.pop(entry.command["id"], None)

    def ready(self, closed: Collection[str] = ()) -> list[Command]:
        """Returns what is to be sent now, and takes it as sent. Messages to closed rooms wait."""
        now = time.monotonic()
        busy = set(closed)
        commands = []
        for entry in self._entries.values():
            room = entry.room
            first = room is None or room not in busy
            if room is not None:
                busy.add(room)
            if first and entry.sent_at is None and entry.not_before <= now:
                entry.sent_at = now
                commands.append(entry.command)
        return commands

    def wake_in(self) -> float | None:
        """Returns in how many seconds a refused command is due again."""
        later = [e.not_before for e in self._entries.values() if e.sent_at is None]
        now = time.monotonic()
        return min((at - now for at in later if at > now), default=None)

    def is_overdue(self, patience: float) -> bool:
        """Tells whether an answer is late, so that the connection cannot be trusted any more."""
        limit = time.monotonic() - patience
        return any(e.sent_at is not None and e.sent_at < limit for e in self._entries.values())

    def accepted(self, frame: t.Accepted) -> None:
        """Takes an answer."""
        entry = self._entries.pop(frame.re or "", None)
        if entry is not None and not entry.answer.done():
            entry.answer.set_result(frame)

    def refused(self, frame: t.Refused) -> bool:
        """Takes a refusal. One that passes is repeated. Returns false when it is not from here."""
        entry = self._entries.get(frame.re or "")
        if entry is None:
            return False
        refused = as_error(frame)
        if refused.passes:
            pause = RETRY_PAUSE if refused.retry_after is None else refused.retry_after
            entry.sent_at = None
            entry.not_before = time.monotonic() + min(pause, RETRY_PAUSE_MAX)
        else:
            self.remove(entry)
            if not entry.answer.done():
                entry.answer.set_exception(refused)
        return True

    def disconnected(self) -> None:
        """Makes everything without an answer wait for the next connection."""
        for entry in self._entries.values():
            entry.sent_at = None

    def fail(self, failure: Exception) -> None:
        """Gives everything up."""
        for entry in self._entries.values():
            if not entry.answer.done():
                entry.answer.set_exception(failure)
        self._entries.clear()


def as_error(frame: t.Refused) -> Refused:
    """Returns a refused command like a refused call."""
    after = None if frame.retry_after_ms is None else frame.retry_after_ms / 1000
    return Refused(frame.code, frame.detail, retry_after=after)
