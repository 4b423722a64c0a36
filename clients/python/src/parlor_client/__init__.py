"""A client of Parlor, a chat server in which people and bots share rooms."""

from . import _types as types
from .bot import Bot, Call
from .client import Client, Feed, Room
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
from .events import Event, Resync, Signal, Subscribed, UnknownEvent, UnknownSignal, Update
from .http import Http
from .replies import Replies, Reply
from .session import Session, SessionConfig
from .tokens import FileTokens, MemoryTokens, Tokens, TokenStore

__version__ = "0.1.0"

__all__ = [
    "Bot",
    "Call",
    "Client",
    "Event",
    "Feed",
    "FileTokens",
    "Http",
    "MalformedAnswer",
    "MemoryTokens",
    "NotLoggedIn",
    "ParlorError",
    "Refused",
    "Replies",
    "Reply",
    "Resync",
    "Room",
    "Session",
    "SessionClosed",
    "SessionConfig",
    "SessionEnded",
    "Signal",
    "Subscribed",
    "TokenStore",
    "Tokens",
    "Unanswered",
    "UnknownEvent",
    "UnknownSignal",
    "Unreachable",
    "Update",
    "types",
]
