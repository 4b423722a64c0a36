"""A real server, which the project's Rust tests start: `tests/tests/journeys/python.rs`.

They say where it is, and cut connections or kill it meanwhile.
"""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from parlor_client import Client, Room, SessionConfig, Update, types

PASSWORD = "tangerine-orbit-42-violin"
# Shorter pauses than people want, because a test cuts more often than a network.
CONFIG = SessionConfig(backoff_base=0.02, backoff_cap=0.3)

SignUp = Callable[..., Awaitable[Client]]


@pytest.fixture
def url() -> str:
    return os.environ["PARLOR_TEST_URL"]


@pytest.fixture
async def sign_up(url: str) -> AsyncIterator[SignUp]:
    """Makes accounts whose clients are closed at the end, and then no task may be left."""
    clients: list[Client] = []

    async def sign_up(**options: Any) -> Client:
        client = Client(url, **{"config": CONFIG, **options})
        clients.append(client)
        await client.register(f"py-{uuid.uuid4().hex[:12]}", PASSWORD)
        return client

    yield sign_up
    for client in clients:
        await client.close()
    left = {task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()}
    assert not {name for name in left if name.startswith("parlor-")}


async def new_room(client: Client, **more: Any) -> Room:
    """Returns a public room of its own for a test."""
    slug = f"room-{uuid.uuid4().hex[:12]}"
    await client.http.create_room(**{"name": slug, "slug": slug, "kind": "public", **more})
    return client.room(slug)


def written(update: Update) -> types.Message | None:
    """Returns the message that an update brings."""
    return update.data if isinstance(update, types.MessageCreatedEvent) else None
