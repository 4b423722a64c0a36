"""What people do with the client, against a real server."""

import asyncio
import itertools
import json

import httpx
import pytest

from parlor_client import (
    Bot,
    Call,
    Client,
    Event,
    MemoryTokens,
    NotLoggedIn,
    Refused,
    Resync,
    SessionConfig,
    SessionEnded,
    Subscribed,
    Tokens,
    Unanswered,
    types,
)

from .conftest import CONFIG, PASSWORD, SignUp, new_room, written


async def test_wrong_password_is_refused(url: str, sign_up: SignUp) -> None:
    me = await (await sign_up()).me()
    async with Client(url) as client:
        with pytest.raises(Refused) as refused:
            await client.log_in(me.username, "wrong-" + PASSWORD)
        assert (refused.value.code, refused.value.status) == ("unauthenticated", 401)
        assert PASSWORD not in str(refused.value)
        with pytest.raises(NotLoggedIn):
            await client.room("general").send("hello")


async def test_token_that_is_not_accepted_is_renewed_once_for_all(
    url: str, sign_up: SignUp
) -> None:
    store = MemoryTokens(Tokens("not-a-token", await refresh_token(sign_up)))
    async with Client(url, tokens=store, config=CONFIG) as client:
        everyone = await asyncio.gather(*(client.me() for _ in range(8)))
        assert len({user.id for user in everyone}) == 1
        kept = store.load()
        assert kept is not None
        assert kept.access_token != "not-a-token"
        await client.room("general").send("still here")


async def refresh_token(sign_up: SignUp) -> str:
    store = MemoryTokens()
    await sign_up(tokens=store)
    kept = store.load()
    assert kept is not None
    assert kept.refresh_token is not None
    return kept.refresh_token


async def test_command_is_carried_out_and_a_message_like_one_is_a_message(sign_up: SignUp) -> None:
    room = await new_room(await sign_up())
    waved = await room.command("/me waves", client_id="wave")
    assert await room.command("/me waves", client_id="wave") == waved
    await room.send("/me waves")
    told = [(message.body, message.emote) async for message in room.history()]
    assert told == [("waves", True), ("/me waves", False)]
    assert waved["kind"] == "message"
    assert (await room.command("/topic Tea"))["kind"] == "changed"
    with pytest.raises(Refused) as refused:
        await room.command("/nothing")
    assert refused.value.code == "validation_failed"


async def test_login_that_ended_ends_the_session(sign_up: SignUp) -> None:
    client = await sign_up()
    with client.room("general").events() as events:
        await client.session.ready()
        await client.http.call("POST", "/v1/auth/logout", None, query={"all": True})
        with pytest.raises((SessionEnded, NotLoggedIn)):
            await asyncio.wait_for(anext_forever(events), 20)
        with pytest.raises((SessionEnded, NotLoggedIn)):
            await client.room("general").send("hello")


async def anext_forever(events: object) -> None:
    async for _ in events:  # type: ignore[attr-defined]
        pass


async def test_program_that_is_slow_loses_nothing(sign_up: SignUp) -> None:
    config = SessionConfig(queued_updates=10, backoff_base=0.02)
    reader, writer = await sign_up(config=config), await sign_up()
    room = await new_room(reader)
    there = writer.room(room.ref)
    await there.join()
    bodies = [str(number) for number in range(300)]
    with room.events() as events:
        # Something is taken, so the subscription is there.
        await room.send("begin")
        await events.__anext__()
        await asyncio.gather(*(there.send(body) for body in bodies))
        seen: list[str] = []
        async for event in events:
            if isinstance(event, types.MessageCreatedEvent) and event.actor is not None:
                seen.append(event.data.body)
                # Writing from within the loop waits for nothing that the loop must read first.
                await room.send(f"echo {event.data.body}") if len(seen) < 30 else None
            if seen and seen[-1] == bodies[-1]:
                break
    assert [body for body in seen if body in bodies] == bodies
    assert reader.session.connections == 1


async def test_same_client_id_is_one_message(sign_up: SignUp) -> None:
    room = await new_room(await sign_up())
    first = await room.send("once", client_id="the-same-id")
    again = await room.send("once", client_id="the-same-id")
    assert (again.message, again.seq, again.duplicate) == (first.message, first.seq, True)
    assert [message.body async for message in room.history()] == ["once"]


async def test_position_continues_in_the_next_run(url: str, sign_up: SignUp) -> None:
    first = await sign_up()
    room = await new_room(first)
    with room.events() as events:
        await room.send("one")
        async for event in events:
            if isinstance(event, types.MessageCreatedEvent):
                break
        position = events.position
    assert position is not None
    await room.send("two")
    await room.send("three")
    bodies = []
    with room.events(since=position) as events:
        async for event in events:
            assert isinstance(event, types.MessageCreatedEvent)
            bodies.append(event.data.body)
            if len(bodies) == 2:
                break
    assert bodies == ["two", "three"]


async def test_other_log_is_told_as_resync(sign_up: SignUp) -> None:
    room = await new_room(await sign_up())
    await room.send("before")
    with room.updates(since=types.Position(epoch="another", seq=1)) as updates:
        told = await updates.__anext__()
        assert isinstance(told, Resync)
        assert told.reason == "epoch_changed"
        assert isinstance(await updates.__anext__(), Subscribed)
        sent = await room.send("after")
        async for update in updates:
            if isinstance(update, types.MessageCreatedEvent):
                assert update.seq == sent.seq
                break


async def test_room_that_one_may_not_see_is_not_found(sign_up: SignUp) -> None:
    hidden = await new_room(await sign_up(), kind="private")
    stranger = await sign_up()
    with pytest.raises(Refused, match="not_found"):
        await stranger.room(hidden.ref).events().__anext__()
    with pytest.raises(Refused, match="not_found"):
        await stranger.room(hidden.ref).send("hello")
    with pytest.raises(Refused, match="not_found"):
        await stranger.room(hidden.ref).get()


async def test_room_under_two_names_is_followed_once(sign_up: SignUp) -> None:
    client = await sign_up()
    room = await new_room(client)
    by_id = client.room((await room.get()).id)
    with by_id.events() as first:
        await room.send("begin")
        await first.__anext__()
        with room.events() as second, pytest.raises(RuntimeError, match="followed already"):
            await second.__anext__()
        with pytest.raises(RuntimeError, match="followed already"):
            by_id.events()
        sent = await room.send("still here")
        async for event in first:
            if event.seq == sent.seq:
                break


async def test_reply_of_a_bot_is_assembled(sign_up: SignUp) -> None:
    room = await new_room(await sign_up(), bots=["guide"])
    sent = await room.send("@guide count 40")
    replies = []
    async for reply in room.replies(since=0):
        replies.append(reply)
        if reply.done:
            break
    assert replies[-1].status == "completed"
    assert replies[-1].text.split() == [str(number) for number in range(1, 41)]
    # The text so far may be known before the event that says whom it answers.
    assert replies[-1].reply_to == sent.message
    # Pieces came before the end, and each text continues the one before.
    assert len(replies) > 3
    texts = [reply.text for reply in replies]
    assert all(later.startswith(text) for text, later in itertools.pairwise(texts))


async def test_whole_reply_is_waited_for(sign_up: SignUp) -> None:
    room = await new_room(await sign_up(), bots=["guide"])
    answer = await room.ask("@guide count 5")
    assert answer.reply is not None
    assert answer.reply.body.strip() == "1 2 3 4 5"


async def test_message_that_is_never_answered_is_given_up() -> None:
    # Nothing listens on the port of discarded bytes.
    async with Client("http://127.0.0.1:9", token="none", config=CONFIG) as client:
        with pytest.raises(Unanswered) as unanswered:
            await client.room("general").send("hello", client_id="mine", timeout=0.2)
    assert unanswered.value.client_id == "mine"


async def test_bot_answers_people_once_and_goes_on_after_an_error(
    url: str, sign_up: SignUp
) -> None:
    account = await (await sign_up()).me()
    person = await sign_up()
    room = await new_room(person)
    bot = Bot(url, username=account.username, password=PASSWORD, config=CONFIG)

    @bot.on_mention
    async def answer(call: Call) -> None:
        if call.text == "fail":
            raise ValueError("as planned")
        await call.reply(f"You said: {call.text}")

    running = asyncio.create_task(bot.start(room.ref))
    heard: list[str] = []
    with room.events() as events:
        async for event in events:
            if joined(event, account.id):
                for text in ("fail", "hello"):
                    await room.send(f"@{account.username} {text}")
                await room.send("nobody in particular")
            message = written(event)
            if message is not None and message.sender.id == account.id:
                heard.append(message.body)
                assert message.reply_to is not None
                break
    assert heard == ["You said: hello"]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def joined(event: Event | Resync, user: str) -> bool:
    return isinstance(event, types.MemberJoinedEvent) and event.data.user.id == user


async def test_http_api_speaks_the_types_of_the_contract(sign_up: SignUp) -> None:
    client = await sign_up()
    http = client.http
    room = await new_room(client, topic="tea")
    info = await http.get_info()
    assert info.name == "parlor"
    assert (await http.get_session()).user.id == (await client.me()).id
    assert (await http.patch_room(room.ref, topic="more tea")).topic == "more tea"
    await room.send("a message")
    [message] = (await http.list_messages(room.ref)).items
    edited = await http.edit_message(room.ref, message.id, body="edited")
    assert edited.edited_at is not None
    await http.add_reaction(room.ref, message.id, "👍")
    [message] = (await http.list_messages(room.ref)).items
    assert message.reactions[0].emoji == "👍"
    members = await http.list_members(room.ref)
    assert members.items[0].role == "owner"
    lines = b"".join([piece async for piece in http.export_room(room.ref, format="jsonl")])
    told = [json.loads(line) for line in lines.splitlines()]
    assert [line["body"] for line in told if line.get("type") == "message"] == ["edited"]
    invite = await http.create_invite(room.ref, expires_in=60)
    assert (await http.get_invite(invite.code)).room == (await room.get()).id
    with pytest.raises(Refused) as refused:
        await http.create_room(name="", kind="public")
    problem = refused.value.problem
    assert problem is not None
    assert problem.errors[0].field == "name"
    await http.delete_room(room.ref)
    with pytest.raises(Refused, match="not_found"):
        await room.get()


async def test_made_twice_with_one_key_is_made_once(sign_up: SignUp) -> None:
    http = (await sign_up()).http
    first = await http.create_room(name="twice", kind="public", idempotency_key="one-key-for-it")
    again = await http.create_room(name="twice", kind="public", idempotency_key="one-key-for-it")
    assert again.id == first.id


async def test_file_is_sent_with_a_message_and_read_by_others(sign_up: SignUp) -> None:
    ada, bob = await sign_up(), await sign_up()
    content = bytes(range(256)) * 5_000
    arrived: list[int] = []
    file = await ada.upload("numbers.bin", content, progress=arrived.append)
    assert (file.name, file.bytes, arrived[-1]) == ("numbers.bin", len(content), len(content))
    sent = await ada.room("general").send("my numbers", attachments=[file.id])
    assert sent.message is not None
    message = await bob.http.get_message("general", sent.message)
    assert message.attachments == [file]
    address = await bob.http.get_attachment("general", file.id)
    async with httpx.AsyncClient(base_url=bob.http.url) as anyone:
        answer = await anyone.get(address.url)
    assert answer.content == content
