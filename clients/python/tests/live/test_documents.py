"""The README and the examples, run as they stand."""

import asyncio
import os
import re
import sys
import uuid
from pathlib import Path

from parlor_client import Client, Room

from .conftest import PASSWORD, SignUp, written

PROJECT = Path(__file__).resolve().parents[2]
SERVER = "http://127.0.0.1:7777"
README_PASSWORD = "correct-horse-battery"


def blocks(url: str, names: dict[str, str]) -> list[str]:
    """Returns the README's programs, with this server's address and these accounts."""
    text = (PROJECT / "README.md").read_text("utf-8")
    found = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(found) == 3
    programs = []
    for program in found:
        program = program.replace(SERVER, url).replace(README_PASSWORD, PASSWORD)
        for name, account in names.items():
            program = program.replace(f'"{name}"', f'"{account}"')
        programs.append(program)
    return programs


async def start(*arguments: str, **env: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        env={"PYTHONPATH": str(PROJECT / "src"), "PATH": os.environ["PATH"], **env},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def output(process: asyncio.subprocess.Process) -> str:
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, err.decode()
    return out.decode()


async def converse(room: Room, bot: str, text: str) -> str:
    """Says something to a bot as often as it takes to be there, and returns its answer."""
    with room.events() as events:

        async def answer() -> str:
            async for event in events:
                message = written(event)
                if message is not None and message.sender.username == bot:
                    return message.body
            raise AssertionError("the events ended")

        answering = asyncio.create_task(answer())
        for _ in range(60):
            await room.send(f"@{bot} {text}")
            done, _pending = await asyncio.wait([answering], timeout=1)
            if done:
                break
        answering.cancel() if not answering.done() else None
        return await answering


async def test_programs_of_the_readme_work_as_they_stand(url: str, sign_up: SignUp) -> None:
    person = await sign_up()
    names = {"echo": (await (await sign_up()).me()).username, "ada": (await person.me()).username}
    bot, reading, asking = blocks(url, names)
    assert len([line for line in bot.splitlines() if line.strip()]) <= 10

    running = await start("-c", bot)
    try:
        said = await converse(person.room("general"), names["echo"], "good morning")
        assert said == "You said: good morning"
    finally:
        running.terminate()
    await output(running)

    read = await output(await start("-c", reading))
    assert f"{names['ada']} hello" in read
    assert "1 2 3 4 5" in await output(await start("-c", asking))


async def _ask_on(room: Room, question: str) -> None:
    """Asks until it is canceled: who is not there yet does not hear the first questions."""
    while True:
        await room.send(question)
        await asyncio.sleep(1)


async def test_examples_work_as_they_stand(url: str, sign_up: SignUp) -> None:
    person, echo = await sign_up(), (await (await sign_up()).me()).username
    follower = (await (await sign_up()).me()).username
    accounts = [{"PARLOR_USERNAME": name, "PARLOR_PASSWORD": PASSWORD} for name in (echo, follower)]
    examples = PROJECT / "examples"
    bot = await start(str(examples / "echo_bot.py"), url, "general", **accounts[0])
    follow = await start(str(examples / "follow.py"), url, "general", **accounts[1])
    word = uuid.uuid4().hex
    try:
        assert await converse(person.room("general"), echo, word) == f"You said: {word}"
        assert follow.stdout is not None
        # It may have come too late for the first answers.
        asking = asyncio.create_task(_ask_on(person.room("general"), f"@{echo} {word}"))
        line = ""
        while "You said" not in line:
            line = (await asyncio.wait_for(follow.stdout.readline(), 60)).decode()
        asking.cancel()
        assert line == f"{echo}: You said: {word}\n"
    finally:
        bot.terminate()
        follow.terminate()
    await asyncio.gather(bot.wait(), follow.wait())


async def test_client_can_be_made_without_a_running_loop(url: str) -> None:
    made = await asyncio.to_thread(Client, url)
    assert (await made.http.get_health()).status == "ok"
    await made.close()
