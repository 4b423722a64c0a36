"""Prints what happens in a room, and bots' replies as they grow.

PARLOR_USERNAME=ada PARLOR_PASSWORD=… python follow.py http://127.0.0.1:7777 general
"""

import asyncio
import os
import sys

from parlor_client import Client, Replies, Resync, types


async def main(url: str, room: str) -> None:
    """Follows the room until it is interrupted."""
    async with Client(url) as client:
        await client.log_in(os.environ["PARLOR_USERNAME"], os.environ["PARLOR_PASSWORD"])
        replies = Replies()
        with client.room(room).updates() as updates:
            async for update in updates:
                for reply in replies.take(update):
                    print(f"… {reply.text}", flush=True)
                if isinstance(update, types.MessageCreatedEvent) and update.data.body:
                    print(f"{update.data.sender.username}: {update.data.body}", flush=True)
                elif isinstance(update, Resync):
                    print(f"some messages up to {update.seq} were not shown", flush=True)


if __name__ == "__main__":
    try:
        asyncio.run(main(*sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
