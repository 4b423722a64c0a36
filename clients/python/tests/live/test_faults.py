"""Nothing is missing and nothing is doubled, whatever happens to the connections."""

import asyncio
import os

from parlor_client import Client, types

from .conftest import CONFIG, PASSWORD

MESSAGES = int(os.environ.get("PARLOR_TEST_MESSAGES", "300"))
ROOM = "general"
LAST = "the end"
# Messages that are under way at once; their order is the room's.
AT_ONCE = 20


async def test_every_message_arrives_once_and_in_order(url: str) -> None:
    """The Rust test cuts connections, or kills the server, until this has ended."""
    async with Client(url, config=CONFIG) as writer, Client(url, config=CONFIG) as reader:
        for client, name in ((writer, "writer"), (reader, "reader")):
            await client.log_in(name, PASSWORD)
        with reader.room(ROOM).events(since=0) as events:
            room = writer.room(ROOM)
            reading = asyncio.create_task(read(events, LAST))
            bodies: list[str] = []
            sent: list[types.Accepted] = []
            # It is written until something has broken, however fast the machine is. In a cluster
            # they may be on different nodes, and one node is killed.
            while len(bodies) < MESSAGES or connections(writer, reader) <= 2:
                some = [f"message {len(bodies) + number}" for number in range(AT_ONCE)]
                bodies += some
                sent += await asyncio.gather(*(room.send(body) for body in some))
            bodies.append(LAST)
            sent.append(await room.send(LAST))
            arrived = await asyncio.wait_for(reading, 60)
        assert [message.body for message in arrived] == bodies
        assert [message.seq for message in arrived] == [accepted.seq for accepted in sent]


def connections(*clients: Client) -> int:
    return sum(client.session.connections for client in clients)


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
