"""A bot of one's own, in ten lines.

bot = Bot("http://127.0.0.1:7777", username="echo", password="…")

@bot.on_mention
async def answer(call: Call) -> None:
    await call.reply(f"You said: {call.text}")

bot.run("general")
"""

from __future__ import annotations

import asyncio
import logging
import re
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from . import _types as t
from .client import Client, Room
from .events import Event, Resync
from .session import SessionConfig
from .tokens import TokenStore

log = logging.getLogger("parlor_client.bot")

# Calls that are worked on at once; further ones wait their turn.
AT_ONCE = 16


@dataclass
class Call:
    """A message that a bot was given."""

    message: t.Message
    room: Room
    text: str
    """The message without the bot's name."""
    _replies: int = field(default=0, repr=False)

    async def reply(self, body: str) -> t.Accepted:
        """Answers the message.

        The answer is named after the message and its number among the answers. So a bot that was
        stopped in the middle and does the same again has answered once.
        """
        self._replies += 1
        return await self.room.send(
            body, client_id=f"{self.message.id}-{self._replies}", reply_to=self.message.id
        )

    def typing(self, on: bool = True) -> None:
        """Tells the room that an answer is being written."""
        self.room.typing(on)


Answer = Callable[[Call], Awaitable[None]]


class Bot:
    """An account that answers by a program.

    It never answers itself nor other bots. An answer that fails is logged, and the bot goes on.
    """

    def __init__(
        self,
        url: str,
        *,
        username: str | None = None,
        password: str | None = None,
        token: str | None = None,
        tokens: TokenStore | None = None,
        config: SessionConfig | None = None,
    ) -> None:
        """Takes a user name and a password, an access token, or a store with a login."""
        self.client = Client(url, token=token, tokens=tokens, config=config)
        self._login = (username, password)
        self._on_mention: list[Answer] = []
        self._on_message: list[Answer] = []
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._calls: set[asyncio.Task[None]] = set()

    def on_mention(self, answer: Answer) -> Answer:
        """Calls a function with each message that names the bot."""
        self._on_mention.append(answer)
        return answer

    def on_message(self, answer: Answer) -> Answer:
        """Calls a function with each message of others."""
        self._on_message.append(answer)
        return answer

    def run(self, *rooms: str) -> None:
        """Logs in, joins the rooms, and answers until interrupted."""
        asyncio.run(self._run(rooms))

    async def _run(self, rooms: tuple[str, ...]) -> None:
        work = asyncio.ensure_future(self.start(*rooms))
        loop = asyncio.get_running_loop()
        try:
            loop.add_signal_handler(signal.SIGTERM, work.cancel)
        except (NotImplementedError, RuntimeError):
            log.debug("SIGTERM cannot be handled here")
        try:
            await work
        except asyncio.CancelledError:
            log.info("stopped")

    async def start(self, *rooms: str) -> None:
        """As `run`, inside of a program that is asynchronous already. Cancel it to stop."""
        if not rooms:
            raise ValueError("name the rooms in which the bot answers")
        tasks: list[asyncio.Task[None]] = []
        try:
            username, password = self._login
            if username is not None and password is not None:
                await self.client.log_in(username, password)
            me = (await self.client.session.ready()).user
            for name in rooms:
                room = self.client.room(name)
                following = self._follow(room, me, await _enter(room))
                tasks.append(asyncio.create_task(following, name=f"parlor-bot-{name}"))
            # The first that fails ends the bot; none returns by itself.
            await asyncio.gather(*tasks)
        finally:
            for task in [*tasks, *self._calls]:
                task.cancel()
            await asyncio.gather(*tasks, *self._calls, return_exceptions=True)
            await self.client.close()

    async def _follow(self, room: Room, me: t.UserRef, since: t.Position | None) -> None:
        name = re.compile(rf"(?<!\w)@{re.escape(me.username)}(?![\w-])", re.IGNORECASE)
        with room.events(since=since) as events:
            async for event in events:
                message = _by_a_person(event, me)
                if message is None:
                    continue
                mentioned = any(user.id == me.id for user in message.mentions)
                mentioned = mentioned or name.search(message.body) is not None
                answers = [*self._on_message, *(self._on_mention if mentioned else [])]
                text = name.sub("", message.body).strip()
                for answer in answers:
                    # A bot that is behind takes no more than it can work on.
                    await self._slots.acquire()
                    task = asyncio.create_task(self._answer(answer, Call(message, room, text)))
                    self._calls.add(task)
                    task.add_done_callback(self._answered)

    async def _answer(self, answer: Answer, call: Call) -> None:
        try:
            await answer(call)
        except Exception:
            log.exception("no answer to the message %s", call.message.id)

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._calls.discard(task)
        self._slots.release()


def _by_a_person(event: Event | Resync, me: t.UserRef) -> t.Message | None:
    if not isinstance(event, t.MessageCreatedEvent):
        return None
    sender = event.data.sender
    return None if sender.id == me.id or sender.kind == "bot" else event.data


async def _enter(room: Room) -> t.Position | None:
    """Becomes a member, and returns where that began: people call a bot as soon as they see it."""
    if (await room.get()).role is not None:
        return None
    await room.join()
    entered = await room.get()
    return t.Position(epoch=entered.epoch, seq=entered.read_seq)
