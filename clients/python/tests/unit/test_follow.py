"""Where a followed room is, whatever the network does."""

import random
from datetime import datetime, timezone

import pytest

from parlor_client import Event, Resync, Subscribed, types
from parlor_client._follow import FRUITLESS_MAX, Follow, GiveUp
from parlor_client.events import UnknownEvent, UnknownSignal

AT = datetime(2026, 1, 1, tzinfo=timezone.utc)


def event(seq: int) -> Event:
    return UnknownEvent(room="r", seq=seq, at=AT, type="x")


def answer(seq: int, *, resumed: bool, epoch: str = "a") -> types.Subscribed:
    return types.Subscribed(
        room="r", slug="s", epoch=epoch, seq=seq, resumed=resumed, streaming=[], re="s1"
    )


def following(since: int | None = 0, capacity: int = 1_000) -> Follow:
    follow = Follow("s", since, capacity)
    follow.subscribe("s1")
    follow.subscribed(answer(20, resumed=since is not None))
    assert isinstance(follow.take(), Subscribed)
    return follow


def taken(follow: Follow) -> list[int | str]:
    seen: list[int | str] = []
    while (update := follow.take()) is not None:
        seen.append(getattr(update, "seq", update.type))
    return seen


def test_delivery_is_dense_and_single_whatever_arrives() -> None:
    for seed in range(200):
        rng = random.Random(seed)
        follow = following()
        for _ in range(100):
            seq = rng.randint(1, 12)
            before = follow.seq or 0
            try:
                again = follow.event(event(seq))
            except GiveUp:
                break
            assert again is (seq > before + 1)
        assert taken(follow) == list(range(1, (follow.seq or 0) + 1))


def test_position_is_asked_for_by_log_and_number() -> None:
    follow = following()
    follow.event(event(1))
    assert follow.subscribe("s2")["since"] == {"epoch": "a", "seq": 1}


def test_full_queue_pauses_and_goes_on_without_a_hole() -> None:
    follow = following(capacity=3)
    assert [follow.event(event(seq)) for seq in range(1, 6)] == [False, False, False, None, False]
    follow.signal(UnknownSignal(room="r", type="typing"))
    assert follow.paused
    assert taken(follow) == [1, 2, 3]
    assert follow.subscribe("s2")["since"]["seq"] == 3
    follow.subscribed(answer(5, resumed=True))
    follow.event(event(4))
    assert taken(follow) == [3, 4]


def test_other_log_is_told_as_resync_before_it_goes_on() -> None:
    follow = following()
    follow.event(event(1))
    follow.subscribe("s2")
    follow.subscribed(answer(7, resumed=False, epoch="b"))
    assert taken(follow) == [1]
    assert not follow.resync(types.Resync(room="r", from_=7, reason="epoch_changed"))
    told = follow.take()
    assert isinstance(told, Resync)
    assert told.reason == "epoch_changed"
    assert isinstance(follow.take(), Subscribed)
    assert follow.event(event(8)) is False
    assert follow.subscribe("s3")["since"] == {"epoch": "b", "seq": 8}


def test_holes_without_end_are_given_up() -> None:
    follow = following()
    for _ in range(FRUITLESS_MAX):
        follow.event(event(9))
    with pytest.raises(GiveUp):
        follow.event(event(9))
