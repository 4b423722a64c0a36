"""JSON to values and back."""

from datetime import datetime, timezone
from typing import Any

import pytest

from parlor_client import MalformedAnswer, types
from parlor_client._decode import decode, encode, time
from parlor_client.events import UnknownEvent, read_event

USER: dict[str, Any] = {
    "id": "018f",
    "username": "ada",
    "display_name": "Ada",
    "kind": "user",
}


def message(**more: Any) -> dict[str, Any]:
    """Returns a message as the server writes it."""
    return {
        "id": "m1",
        "room": "r1",
        "seq": 3,
        "sender": USER,
        "body": "hi",
        "status": "complete",
        "created_at": "2026-01-31T12:00:00.250Z",
        **more,
    }


def test_message_is_read_with_its_defaults() -> None:
    read = decode(types.Message, message())
    assert (read.sender.username, read.reactions, read.reply_to) == ("ada", [], None)
    assert read.created_at == datetime(2026, 1, 31, 12, 0, 0, 250_000, timezone.utc)


def test_field_of_a_newer_server_is_ignored() -> None:
    read = decode(types.Message, message(mood="fine", status="pondering"))
    assert str(read.status) == "pondering"


@pytest.mark.parametrize(
    "broken", [{"body": 3}, {"seq": True}, {"sender": []}, {"created_at": "noon"}]
)
def test_value_of_another_type_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(MalformedAnswer):
        decode(types.Message, message(**broken))


def test_missing_field_is_named() -> None:
    without = message()
    del without["body"]
    with pytest.raises(MalformedAnswer, match="Message without body"):
        decode(types.Message, without)


def test_the_first_type_that_fits_is_taken() -> None:
    assert isinstance(decode(types.PublishAnswer, message()), types.Message)
    both = {"message": message(), "reply": None}
    assert isinstance(decode(types.PublishAnswer, both), types.PublishAndReply)


def test_time_is_written_as_the_server_does() -> None:
    assert encode(time("2026-01-31T12:00:00.250Z")) == "2026-01-31T12:00:00.250Z"


def test_nothing_is_left_out_of_a_dataclass_and_kept_in_a_dict() -> None:
    assert encode(types.Restriction(until=None)) == {}
    assert encode({"until": None}) == {"until": None}


def test_event_of_a_newer_server_is_unknown_and_no_error() -> None:
    frame = {"room": "r", "seq": 1, "at": "2026-01-31T12:00:00Z", "type": "room.painted"}
    assert isinstance(read_event(frame), UnknownEvent)
    known = read_event({**frame, "type": "message.created", "data": message()})
    assert isinstance(known, types.MessageCreatedEvent)
    odd = read_event({**frame, "type": "message.created", "data": {"of": "another shape"}})
    assert isinstance(odd, UnknownEvent)


def test_tokens_are_not_shown() -> None:
    from parlor_client import Tokens

    assert "secret" not in repr(Tokens("secret-a", "secret-r"))
