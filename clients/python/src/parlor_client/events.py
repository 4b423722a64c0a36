"""What a room tells: events of its log, signals, and how a subscription stands."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias

from . import _types as t
from ._decode import decode
from .errors import MalformedAnswer


@dataclass(frozen=True, kw_only=True, slots=True)
class UnknownEvent:
    """An event of a newer server. It counts in the log; step over it."""

    room: str
    seq: int
    at: datetime
    type: str
    actor: t.UserRef | None = None
    data: Any = None


@dataclass(frozen=True, kw_only=True, slots=True)
class UnknownSignal:
    """A signal of a newer server."""

    room: str
    type: str
    data: Any = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Subscribed:
    """The room is followed. Replies that are being written come with their text so far."""

    room: str
    slug: str
    epoch: str
    seq: int
    """The position after which events follow."""
    head: int
    """The newest event when the server answered."""
    streaming: tuple[t.StreamingReply, ...] = ()
    type: Literal["subscribed"] = "subscribed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Resync:
    """Events are missing that cannot be sent any more. Read the history; what follows is new."""

    room: str
    seq: int
    """The history goes up to here, and events after it follow."""
    reason: str
    type: Literal["resync"] = "resync"


Event: TypeAlias = t.EventBody | UnknownEvent
Signal: TypeAlias = t.SignalBody | UnknownSignal
Update: TypeAlias = Event | Signal | Subscribed | Resync

EVENT_CLASSES: tuple[type[Any], ...] = (*t.EVENTS.values(), UnknownEvent)
SIGNAL_CLASSES: tuple[type[Any], ...] = (*t.SIGNALS.values(), UnknownSignal)


def read_event(frame: dict[str, Any]) -> Event:
    """Returns an `event` frame as its type; one that cannot be read as such is unknown."""
    kind = t.EVENTS.get(frame.get("type", ""))
    if kind is not None:
        try:
            event: Event = decode(kind, frame)
        except MalformedAnswer:
            pass
        else:
            return event
    return decode(UnknownEvent, frame)


def read_signal(frame: dict[str, Any]) -> Signal:
    """Returns a `signal` frame as its type."""
    kind = t.SIGNALS.get(frame.get("type", ""))
    if kind is not None:
        try:
            signal: Signal = decode(kind, frame)
        except MalformedAnswer:
            pass
        else:
            return signal
    return decode(UnknownSignal, frame)
