"""JSON to values of the generated types and back.

Fields that a type does not have are ignored, because answers may gain some. A field that must be
there and is not is an error.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any, Literal, TypeVar, Union, overload

from . import _types
from .errors import MalformedAnswer

T = TypeVar("T")
Decoder = Callable[[Any], Any]

_PLAIN: dict[Any, tuple[type, ...]] = {str: (str,), int: (int,), float: (float, int), bool: (bool,)}


@functools.cache
def type_of(annotation: str) -> Any:
    """Returns the type that an annotation of the generated operations names."""
    scope = {"t": _types, "Any": Any}
    return eval(annotation, scope)  # noqa: S307 - constants of this package


@overload
def decode(kind: type[T], value: Any) -> T: ...
@overload
def decode(kind: Any, value: Any) -> Any: ...
def decode(kind: Any, value: Any) -> Any:
    """Returns a JSON value as a value of a type."""
    return _decoder(kind)(value)


def time(text: Any) -> datetime:
    """Returns a time as the server writes it."""
    if not isinstance(text, str):
        raise MalformedAnswer("a time is not a text")
    try:
        # Python 3.10 does not know the `Z`.
        return datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith("Z") else text)
    except ValueError as error:
        raise MalformedAnswer("a time cannot be read") from error


def encode(value: Any) -> Any:
    """Returns a value as JSON. Fields of a dataclass that are `None` are left out."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        pairs = ((f.name.rstrip("_"), getattr(value, f.name)) for f in dataclasses.fields(value))
        return {name: encode(item) for name, item in pairs if item is not None}
    if isinstance(value, datetime):
        utc = value.astimezone(timezone.utc)
        return utc.strftime("%Y-%m-%dT%H:%M:%S.") + f"{utc.microsecond // 1000:03d}Z"
    if isinstance(value, dict):
        return {key: encode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in value]
    return value


@functools.cache
def _decoder(kind: Any) -> Decoder:
    origin = typing.get_origin(kind)
    if kind is Any:
        return lambda value: value
    if kind is None or kind is type(None):
        return _nothing
    if kind is datetime:
        return time
    if kind in _PLAIN:
        return _plain(kind)
    if origin is Literal:
        # A newer server may know more words than this version.
        return lambda value: value
    if origin is list:
        (item,) = typing.get_args(kind)
        return _list(item)
    if origin is dict:
        return _map(typing.get_args(kind)[1])
    if origin is Union or origin is types.UnionType:
        return _union(typing.get_args(kind))
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _object(kind)
    raise TypeError(f"{kind!r} is no type of the contract")


def _nothing(value: Any) -> None:
    if value is not None:
        raise MalformedAnswer("something in place of nothing")


def _plain(kind: Any) -> Decoder:
    allowed = _PLAIN[kind]

    def decoder(value: Any) -> Any:
        if not isinstance(value, allowed) or (kind is not bool and isinstance(value, bool)):
            raise MalformedAnswer(f"{type(value).__name__} in place of {kind.__name__}")
        return value

    return decoder


def _list(item: Any) -> Decoder:
    def decoder(value: Any) -> Any:
        if not isinstance(value, list):
            raise MalformedAnswer(f"{type(value).__name__} in place of a list")
        one = _decoder(item)
        return [one(element) for element in value]

    return decoder


def _map(item: Any) -> Decoder:
    def decoder(value: Any) -> Any:
        if not isinstance(value, dict):
            raise MalformedAnswer(f"{type(value).__name__} in place of an object")
        one = _decoder(item)
        return {key: one(element) for key, element in value.items()}

    return decoder


def _union(options: tuple[Any, ...]) -> Decoder:
    rest = [option for option in options if option is not type(None)]

    def decoder(value: Any) -> Any:
        if value is None and len(rest) < len(options):
            return None
        failure: MalformedAnswer | None = None
        for option in rest:
            try:
                return _decoder(option)(value)
            except MalformedAnswer as error:
                failure = error
        raise failure or MalformedAnswer("nothing in place of something")

    return decoder


def _object(kind: Any) -> Decoder:
    # Types name each other, so hints are read at the first use.
    @functools.cache
    def plan() -> list[tuple[str, str, Decoder, bool]]:
        hints = typing.get_type_hints(kind)
        return [
            (
                field.name,
                field.name.rstrip("_"),
                _decoder(hints[field.name]),
                field.default is dataclasses.MISSING
                and field.default_factory is dataclasses.MISSING,
            )
            for field in dataclasses.fields(kind)
        ]

    def decoder(value: Any) -> Any:
        if not isinstance(value, dict):
            raise MalformedAnswer(f"{type(value).__name__} in place of {kind.__name__}")
        fields: dict[str, Any] = {}
        for name, key, one, required in plan():
            if key in value:
                fields[name] = one(value[key])
            elif required:
                raise MalformedAnswer(f"{kind.__name__} without {key}")
        return kind(**fields)

    return decoder
