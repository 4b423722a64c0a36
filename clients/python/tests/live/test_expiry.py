"""A server whose access tokens live for ten seconds."""

import asyncio

import pytest

from parlor_client import Subscribed, types

from .conftest import SignUp, new_room


async def test_token_is_renewed_before_it_expires_and_after(
    sign_up: SignUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    careful, careless = await sign_up(), await sign_up()
    # This one does not know when its token expires, so the server closes with 4004.
    monkeypatch.setattr(careless.http, "renew_in", lambda: None)
    room = await new_room(careful)
    there = careless.room(room.ref)
    await there.join()
    before = await careful.http.access_token(), await careless.http.access_token()
    with room.updates() as mine, there.updates() as theirs:
        await wait_for_connections(theirs, 2)
        await there.send("after the end")
        async for update in mine:
            if isinstance(update, types.MessageCreatedEvent):
                break
    assert careful.session.connections == 1
    assert careless.session.connections == 2
    after = await careful.http.access_token(), await careless.http.access_token()
    assert before[0] != after[0]
    assert before[1] != after[1]


async def wait_for_connections(updates: object, count: int) -> None:
    async def wait() -> None:
        seen = 0
        async for update in updates:  # type: ignore[attr-defined]
            seen += isinstance(update, Subscribed)
            if seen == count:
                return

    await asyncio.wait_for(wait(), 60)
