"""Pauses, places of messages, and where logins are kept."""

import asyncio
import stat
from pathlib import Path

import pytest

from parlor_client import Client, FileTokens, Http, Refused, Tokens, types
from parlor_client._backoff import Backoff
from parlor_client._outbox import Entry, Outbox


def test_bound_doubles_up_to_the_cap_and_starts_again() -> None:
    backoff = Backoff(0.5, 4.0)
    assert backoff.fresh
    drawn = [backoff.next() for _ in range(200)]
    assert drawn[0] <= 0.5
    assert all(0 <= pause <= 4.0 for pause in drawn)
    assert max(drawn) > 3.0
    assert min(drawn) < 0.5
    backoff.reset()
    assert backoff.next() <= 0.5


def entry(room: str, body: str) -> Entry:
    return Entry({"op": "publish", "room": room, "client_id": body, "body": body})


async def test_one_room_keeps_its_order_and_others_do_not_wait() -> None:
    outbox = Outbox()
    for one in (entry("a", "1"), entry("a", "2"), entry("b", "3")):
        outbox.push(one)
    assert [command["body"] for command in outbox.ready()] == ["1", "3"]
    outbox.accepted(types.Accepted(re="c1", seq=1))
    assert [command["body"] for command in outbox.ready()] == ["2"]


async def test_message_waits_until_its_room_is_followed() -> None:
    outbox = Outbox()
    for one in (entry("a", "1"), entry("b", "2")):
        outbox.push(one)
    assert [command["body"] for command in outbox.ready({"a"})] == ["2"]
    assert [command["body"] for command in outbox.ready()] == ["1"]


async def test_what_was_not_answered_is_sent_again_under_the_same_name() -> None:
    outbox = Outbox()
    outbox.push(entry("a", "1"))
    first = outbox.ready()
    assert outbox.ready() == []
    outbox.disconnected()
    assert outbox.ready() == first


async def test_passing_refusal_is_repeated_and_any_other_is_raised() -> None:
    outbox = Outbox()
    one = entry("a", "1")
    outbox.push(one)
    outbox.ready()
    refused = types.Refused(re="c1", code="rate_limited", detail="", retry_after_ms=60_000)
    assert outbox.refused(refused)
    assert outbox.ready() == []
    assert 59 < (outbox.wake_in() or 0) <= 60
    outbox.refused(types.Refused(re="c1", code="forbidden", detail="no"))
    with pytest.raises(Refused, match="forbidden"):
        await one.answer
    assert len(outbox) == 0


def test_login_is_kept_in_a_file_for_its_owner_only(tmp_path: Path) -> None:
    store = FileTokens(tmp_path / "deep" / "login.json")
    assert store.load() is None
    store.save(Tokens("a", "r"))
    assert store.load() == Tokens("a", "r")
    assert stat.S_IMODE((tmp_path / "deep" / "login.json").stat().st_mode) == 0o600
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["login.json"]
    store.save(None)
    assert store.load() is None


@pytest.mark.parametrize("address", ["localhost:7777", "ftp://host", "http://me:secret@host"])
def test_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="address must be"):
        Http(address)


async def test_cancelled_wait_without_a_server_leaves_no_task() -> None:
    # Nothing listens on the port of discarded bytes.
    async with Client("http://127.0.0.1:9", token="none") as client:
        sending = asyncio.create_task(client.room("general").send("hello"))
        feed = client.room("general").events()
        waiting = asyncio.ensure_future(feed.__anext__())
        await asyncio.sleep(0)
        sending.cancel()
        waiting.cancel()
        await asyncio.gather(sending, waiting, return_exceptions=True)
        feed.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}
