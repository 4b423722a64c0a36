"""Nothing is missing and nothing is doubled, whatever happens to the connections."""

import asyncio
import os

from parlor_client import Client, types

from .conftest import CONFIG, PASSWORD

MESSAGES = int(os.environ.get("PARLOR_TEST_MESSAGES", "300"))
ROOM = "general"


async def test_every_message_arrives_once_and_in_order(url: str) -> None:
    """The Rust test cuts connections, or kills the server, until this has ended."""
    async with Client(url, config=CONFIG) as writer, Client(url, config=CONFIG) as reader:
        for client, name in ((writer, "writer"), (reader, "reader")):
            await client.log_in(name, PASSWORD)
        bodies = [f"message {number}" for number in range(MESSAGES)]
        with reader.room(ROOM).events(since=0) as events:
            room = writer.room(ROOM)
            reading = asyncio.create_task(read(events, bodies[-1]))
            window = asyncio.Semaphore(20)

            async def send(body: str) -> types.Accepted:
                async with window:
                    return await room.send(body)

            sent = await asyncio.gather(*(send(body) for body in bodies))
            arrived = await asyncio.wait_for(reading, 60)
        assert [message.body for message in arrived] == bodies
        assert [message.seq for message in arrived] == [accepted.seq for accepted in sent]
        # In a cluster they may be on different nodes, and one node is killed.
        connections = writer.session.connections + reader.session.connections
        assert connections > 2, "nothing happened to the connections"


async def read(events: object, last: str) -> list[types.Message]:
    arrived: list[types.Message] = []
    before = None
    async for event in events:  # type: ignore[attr-defined]
        assert before is None or event.seq == before + 1
        before = event.seq
        if isinstance(event, types.MessageCreatedEvent) and event.data.sender.username == "writer":
            arrived.append(event.data)
            if event.data.body == last:
                break
    return arrived
