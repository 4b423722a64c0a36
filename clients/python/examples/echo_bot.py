"""A bot that repeats what it is told.

PARLOR_USERNAME=echo PARLOR_PASSWORD=… python echo_bot.py http://127.0.0.1:7777 general
"""

import os
import sys

from parlor_client import Bot, Call

bot = Bot(
    sys.argv[1],
    username=os.environ["PARLOR_USERNAME"],
    password=os.environ["PARLOR_PASSWORD"],
)


@bot.on_mention
async def answer(call: Call) -> None:
    """Answers in the room."""
    await call.reply(f"You said: {call.text}")


bot.run(*sys.argv[2:])
