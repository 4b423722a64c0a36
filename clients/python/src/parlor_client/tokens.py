"""Where a login is kept between calls and between runs."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Tokens:
    """A login. Neither token shows in a `repr`."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)


class TokenStore(Protocol):
    """Keeps one login. Calls are short and may block for the time of a small file."""

    def load(self) -> Tokens | None:
        """Returns the login, if there is one."""

    def save(self, tokens: Tokens | None) -> None:
        """Keeps a login, or forgets it."""


class MemoryTokens:
    """Keeps the login as long as the program runs."""

    def __init__(self, tokens: Tokens | None = None) -> None:
        self._tokens = tokens

    def load(self) -> Tokens | None:
        """Returns the login, if there is one."""
        return self._tokens

    def save(self, tokens: Tokens | None) -> None:
        """Keeps a login, or forgets it."""
        self._tokens = tokens


class FileTokens:
    """Keeps the login in a file that only its owner can read. Replaced at once, never in parts."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)

    def load(self) -> Tokens | None:
        """Returns the login, if there is one."""
        try:
            known = json.loads(self._path.read_text("utf-8"))
        except FileNotFoundError:
            return None
        return Tokens(known["access_token"], known.get("refresh_token"))

    def save(self, tokens: Tokens | None) -> None:
        """Keeps a login, or forgets it."""
        if tokens is None:
            self._path.unlink(missing_ok=True)
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # The file is made for its owner only, before there is anything in it.
        handle, name = tempfile.mkstemp(dir=self._path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(
                {"access_token": tokens.access_token, "refresh_token": tokens.refresh_token}, file
            )
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, self._path)
