"""Files, sent in parts that go on where they were interrupted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ._backoff import Backoff
from .errors import ParlorError, Refused, Unreachable

if TYPE_CHECKING:
    from . import _types as t
    from .http import Http

PART_BYTES = 1 << 20
PAUSE_BASE = 0.25
PAUSE_CAP = 8.0
# Failures in a row without a byte that arrives.
FAILURES = 8


class Content:
    """What is sent: bytes, or a file that is read part by part."""

    def __init__(self, content: bytes | Path) -> None:
        self._content = content
        self.size = len(content) if isinstance(content, bytes) else content.stat().st_size

    async def part(self, offset: int, length: int) -> bytes:
        """Returns the bytes from a place on. A file that became shorter cannot be sent."""
        length = min(length, self.size - offset)
        if isinstance(self._content, bytes):
            return self._content[offset : offset + length]
        return await asyncio.to_thread(_read, self._content, offset, length)


def _read(path: Path, offset: int, length: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        part = file.read(length)
    if len(part) < length:
        raise OSError(f"{path.name} became shorter while it was sent")
    return part


async def upload(
    http: Http,
    name: str,
    content: bytes | Path,
    *,
    part_bytes: int = PART_BYTES,
    progress: Callable[[int], None] | None = None,
) -> t.Attachment:
    """Sends a file and returns the attachment that messages can have."""
    source = Content(content)
    state = await http.create_upload(name=name, bytes=source.size)
    backoff, failures = Backoff(PAUSE_BASE, PAUSE_CAP), 0
    while state.attachment is None:
        offset = state.offset
        part = await source.part(offset, part_bytes)
        try:
            state = await http.send_part(state.id, part, upload_offset=str(offset))
        except (Unreachable, Refused) as error:
            failures += 1
            if not _passes(error) or failures > FAILURES:
                raise
            await asyncio.sleep(max(error.retry_after or 0.0, backoff.next()))
            state = await _arrived(http, state)
        if state.offset > offset:
            failures = 0
            backoff.reset()
            if progress is not None:
                progress(state.offset)
    return state.attachment


async def _arrived(http: Http, known: t.Upload) -> t.Upload:
    """Asks how much has arrived; as far as is known when that is not answered either."""
    try:
        return await http.get_upload(known.id)
    except (Unreachable, Refused) as error:
        if not _passes(error):
            raise
        return known


def _passes(error: ParlorError) -> bool:
    # A part that arrived although its answer was lost has moved the offset.
    return isinstance(error, Unreachable) or (
        isinstance(error, Refused) and (error.passes or error.code == "conflict")
    )
