"""Uploads over a network that loses parts and answers."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import cast

import pytest

from parlor_client import Http, Refused, Unreachable, _upload, types

TEXT = b"ten bytes!"


class Server:
    """Keeps what arrives. Of each part it takes what it is told, and may lose the answer."""

    def __init__(self, *fates: int | Refused) -> None:
        self.received = b""
        self.parts: list[tuple[int, bytes]] = []
        self.fates = list(fates)

    def state(self) -> types.Upload:
        attachment = None
        if self.received == TEXT:
            attachment = types.Attachment(
                id="f1", name="notes.txt", media_type="text/plain", bytes=len(TEXT)
            )
        return types.Upload(
            id="f1",
            name="notes.txt",
            bytes=len(TEXT),
            offset=len(self.received),
            expires_at=datetime(2026, 1, 1, tzinfo=timezone.utc),
            attachment=attachment,
        )

    async def create_upload(self, *, name: str, bytes: int) -> types.Upload:
        assert (name, bytes) == ("notes.txt", len(TEXT))
        return self.state()

    async def get_upload(self, upload: str) -> types.Upload:
        assert upload == "f1"
        return self.state()

    async def send_part(self, upload: str, content: bytes, *, upload_offset: str) -> types.Upload:
        assert upload == "f1"
        self.parts.append((int(upload_offset), content))
        fate = self.fates.pop(0) if self.fates else None
        if isinstance(fate, Refused):
            raise fate
        assert int(upload_offset) == len(self.received)
        self.received += content if fate is None else content[:fate]
        if fate is not None:
            raise Unreachable("the connection was reset")
        return self.state()


async def send(server: Server, content: bytes | Path = TEXT, **options: int) -> types.Attachment:
    return await _upload.upload(cast(Http, server), "notes.txt", content, **options)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_upload, "PAUSE_CAP", 0.0)


async def test_file_goes_in_parts(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(TEXT)
    for content in (TEXT, path):
        server = Server()
        assert (await send(server, content, part_bytes=4)).id == "f1"
        assert server.parts == [(0, b"ten "), (4, b"byte"), (8, b"s!")]


async def test_it_goes_on_from_what_has_arrived() -> None:
    server = Server(3, 0)
    await send(server)
    assert server.parts == [(0, TEXT), (3, TEXT[3:]), (3, TEXT[3:])]


async def test_part_whose_answer_was_lost_is_not_sent_again() -> None:
    server = Server(len(TEXT))
    assert (await send(server)).id == "f1"
    assert len(server.parts) == 1


async def test_what_cannot_succeed_is_told_at_once() -> None:
    server = Server(Refused("payload_too_large", "too many pixels", status=413))
    with pytest.raises(Refused) as refused:
        await send(server)
    assert (refused.value.code, len(server.parts)) == ("payload_too_large", 1)


async def test_dead_network_is_told_after_some_attempts() -> None:
    server = Server(*([0] * 99))
    with pytest.raises(Unreachable):
        await send(server)
    assert len(server.parts) == _upload.FAILURES + 1
