"""Replies of bots from their pieces."""

import random
from datetime import datetime, timezone

from parlor_client import Replies, Subscribed, Update, types

AT = datetime(2026, 1, 1, tzinfo=timezone.utc)
USAGE = types.Usage(prompt_tokens=1, completion_tokens=1, estimated=True)
BOT = types.UserRef(id="b", username="guide", display_name="Guide", kind="bot")


def created() -> types.MessageCreatedEvent:
    message = types.Message(
        id="m", room="r", seq=1, sender=BOT, body="", status="streaming", created_at=AT
    )
    return types.MessageCreatedEvent(room="r", seq=1, at=AT, type="message.created", data=message)


def piece(chunk: int, text: str, turn: int = 1) -> types.MessageDeltaSignal:
    delta = types.MessageDelta(message="m", turn=turn, chunk=chunk, text=text)
    return types.MessageDeltaSignal(room="r", type="message.delta", data=delta)


def so_far(chunk: int, text: str, turn: int = 1) -> Subscribed:
    streaming = types.StreamingReply(message="m", turn=turn, chunk=chunk, text=text)
    return Subscribed(room="r", slug="s", epoch="a", seq=1, head=1, streaming=(streaming,))


def completed(body: str) -> types.MessageCompletedEvent:
    data = types.MessageCompleted(message="m", body=body, status="completed", usage=USAGE)
    return types.MessageCompletedEvent(room="r", seq=2, at=AT, type="message.completed", data=data)


def test_text_grows_and_ends() -> None:
    replies = Replies()
    updates: list[Update] = [created(), piece(1, "a"), piece(2, "b"), completed("abc")]
    changes = [reply for update in updates for reply in replies.take(update)]
    assert [(reply.text, reply.done) for reply in changes] == [
        ("", False),
        ("a", False),
        ("ab", False),
        ("abc", True),
    ]
    assert replies.take(piece(3, "late")) == []


def test_new_turn_drops_the_text_of_the_older_one() -> None:
    replies = Replies()
    updates: list[Update] = [created(), piece(1, "old"), piece(1, "new", turn=2)]
    for update in updates:
        replies.take(update)
    assert replies.take(piece(2, "older")) == []
    assert replies.open()[0].text == "new"


def test_hole_is_said_once_and_filled_by_the_text_so_far() -> None:
    replies = Replies()
    replies.take(created())
    replies.take(piece(1, "a"))
    replies.take(piece(3, "c"))
    assert replies.hole
    replies.hole = False
    replies.take(piece(4, "d"))
    assert not replies.hole
    assert replies.take(so_far(4, "abcd"))[0].text == "abcd"
    assert replies.take(piece(5, "e"))[0].text == "abcde"


def test_text_is_always_a_beginning_whatever_gets_lost() -> None:
    whole = [f"<{number}>" for number in range(1, 30)]
    for seed in range(100):
        rng = random.Random(seed)
        replies = Replies()
        replies.take(created())
        for chunk, text in enumerate(whole, start=1):
            if rng.random() < 0.3:
                continue
            for reply in replies.take(piece(chunk, text)):
                assert "".join(whole).startswith(reply.text)
            if replies.hole:
                replies.hole = False
                replies.take(so_far(chunk, "".join(whole[:chunk])))
        assert replies.take(completed("the last word"))[0].text == "the last word"
