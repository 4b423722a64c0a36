"""Bots' replies while they are being written: the rules of turns and chunks. No I/O.

The pieces of a reply are signals and may be lost. A lost piece shows as a hole in the numbers;
subscribing again then brings the text so far. The text of a reply is always the beginning of one
turn's text, and `message.completed` has the last word.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace

from . import _types as t
from .events import Resync, Subscribed, Update

# Replies that are tracked at once, and finished ones that are remembered so that late pieces do not
# open them again. The oldest is forgotten first.
OPEN_MAX = 1_024
ENDED_MAX = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """A bot's reply as far as it is known."""

    message: str
    """The reply's id."""
    text: str = ""
    turn: int = 0
    """Which attempt. When it grows, the text began anew."""
    chunk: int = 0
    """The last piece in `text`."""
    status: t.MessageStatus = "streaming"
    sender: t.UserRef | None = None
    reply_to: str | None = None
    """The message that called the bot, when the beginning of the reply was seen."""
    error: t.ReplyError | None = None

    @property
    def done(self) -> bool:
        """Whether the reply has ended, well or not."""
        return self.status != "streaming"


class Replies:
    """Assembles the replies of one room from its updates."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, Reply] = OrderedDict()
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._lost: set[str] = set()
        self.hole = False
        """Whether a piece is missing: subscribe to the room again. Whoever does it resets it."""

    def open(self) -> list[Reply]:
        """Returns the replies that are being written, oldest first."""
        return list(self._open.values())

    def take(self, update: Update) -> list[Reply]:
        """Takes an update and returns the replies that it changed."""
        if isinstance(update, t.MessageDeltaSignal):
            return self._delta(update.data)
        if isinstance(update, t.MessageCreatedEvent):
            return self._created(update.data)
        if isinstance(update, t.MessageCompletedEvent):
            return self._completed(update.data)
        if isinstance(update, t.MessageRedactedEvent):
            self._end(update.data.message)
        elif isinstance(update, Subscribed):
            return self._subscribed(update)
        elif isinstance(update, (Resync, t.HistoryResetEvent)):
            self._open.clear()
            self._lost.clear()
        return []

    def _created(self, message: t.Message) -> list[Reply]:
        if message.status != "streaming":
            return []
        called_by = message.bot.trigger if message.bot is not None else message.reply_to
        reply = self._begin(message.id)
        if reply is None:
            return []
        reply = replace(reply, sender=message.sender, reply_to=called_by)
        self._open[message.id] = reply
        return [reply]

    def _delta(self, delta: t.MessageDelta) -> list[Reply]:
        reply = self._open.get(delta.message)
        if reply is None or (delta.turn, delta.chunk) <= (reply.turn, reply.chunk):
            return []
        same = delta.turn == reply.turn
        if delta.chunk != (reply.chunk + 1 if same else 1):
            if delta.message not in self._lost:
                self._lost.add(delta.message)
                self.hole = True
            return []
        self._lost.discard(delta.message)
        text = reply.text + delta.text if same else delta.text
        return [self._keep(replace(reply, turn=delta.turn, chunk=delta.chunk, text=text))]

    def _subscribed(self, update: Subscribed) -> list[Reply]:
        # A hole that the server could not fill yet shows again with the next piece.
        self._lost.clear()
        self.hole = False
        changed = []
        for so_far in update.streaming:
            reply = self._begin(so_far.message)
            if reply is not None and (so_far.turn, so_far.chunk) > (reply.turn, reply.chunk):
                reply = replace(reply, turn=so_far.turn, chunk=so_far.chunk, text=so_far.text)
                changed.append(self._keep(reply))
        return changed

    def _completed(self, completed: t.MessageCompleted) -> list[Reply]:
        reply = self._open.get(completed.message) or Reply(message=completed.message)
        if completed.message in self._ended:
            return []
        self._end(completed.message)
        return [replace(reply, text=completed.body, status=completed.status, error=completed.error)]

    def _begin(self, message: str) -> Reply | None:
        if message in self._ended:
            return None
        while len(self._open) >= OPEN_MAX and message not in self._open:
            self._open.popitem(last=False)
        return self._open.setdefault(message, Reply(message=message))

    def _keep(self, reply: Reply) -> Reply:
        self._open[reply.message] = reply
        return reply

    def _end(self, message: str) -> None:
        self._open.pop(message, None)
        self._lost.discard(message)
        self._ended[message] = None
        while len(self._ended) > ENDED_MAX:
            self._ended.popitem(last=False)
