"""What goes through JSON text, what comes back, and what is refused."""

import dataclasses
import datetime as dt
import math
from typing import Any

import pytest
from hypothesis import given, strategies as st

from agent_runtime_nb._base.json_codec import (
    decode,
    decode_body,
    describe_error,
    encode,
    encode_body,
    request_message,
    same_request,
    turn_view,
)
from agent_runtime_nb.exceptions import ActorBusy, NotJson, OutcomeUnknown
from agent_runtime_nb.runtime_abstractions import ActorId, RequestStatus
from agent_runtime_nb.storage_abstractions import TurnRecord

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**63), max_value=2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=20,
)


@dataclasses.dataclass
class Point:
    x: int = 1


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def endless() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@given(JSON)
def test_a_json_value_comes_back_as_it_was(value: Any) -> None:
    assert decode(encode(value)) == value


@given(JSON)
def test_text_is_utf8_and_never_changes_when_it_is_written_again(value: Any) -> None:
    text = encode(value)

    assert text.decode("utf-8").encode("utf-8") == text
    assert encode(decode(text)) == text


@given(JSON, JSON)
def test_values_are_told_apart(one: Any, other: Any) -> None:
    same = encode(one) == encode(other)

    assert not same or one == other


def test_each_reader_gets_a_value_of_its_own() -> None:
    text = encode({"list": [1]})

    decode(text)["list"].append(2)

    assert decode(text) == {"list": [1]}


def test_what_was_encoded_does_not_follow_later_changes() -> None:
    value = {"list": [1]}
    text = encode(value)

    value["list"].append(2)

    assert decode(text) == {"list": [1]}


@pytest.mark.parametrize(
    "number", [math.nan, math.inf, -math.inf], ids=["nan", "inf", "-inf"]
)
@pytest.mark.parametrize(
    "place", ["bare", "in a list", "in a tuple", "deep", "beside a null"]
)
def test_a_number_that_json_has_no_word_for_is_refused(
    number: float, place: str
) -> None:
    values: dict[str, Any] = {
        "bare": number,
        "in a list": [1, number],
        "in a tuple": (number,),
        "deep": {"a": {"b": [[number]]}},
        "beside a null": [None, number],
    }

    with pytest.raises(NotJson, match=r"^the value .* NaN or an infinity$"):
        encode(values[place])


def test_null_and_the_word_null_are_no_reason_to_refuse() -> None:
    value = {"null": None, "text": "null", "number": 1.5}

    assert decode(encode(value)) == value


@pytest.mark.parametrize(
    "value",
    [
        b"bytes",
        {1, 2},
        object(),
        Point(),
        Point,
        ActorId,
        dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        dt.date(2026, 1, 1),
        dt.timedelta(1),
        1j,
        {1: "a key that is no text"},
        {None: 1},
        "\ud800",
        {"\udfff": 1},
        2**64,
        -(2**63) - 1,
        nested(300),
        endless(),
        (n for n in range(3)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_json_cannot_carry_is_refused(value: Any) -> None:
    with pytest.raises(NotJson):
        encode(value)
    with pytest.raises(NotJson):
        encode({"inside": [value]})


def test_a_refusal_names_the_value_and_keeps_the_cause() -> None:
    with pytest.raises(NotJson, match=r"^the value of 'k' cannot be stored") as caught:
        encode(Point(), "the value of 'k'")

    assert caught.value.what == "the value of 'k'"
    assert isinstance(caught.value.__cause__, TypeError)


def test_integers_of_64_bits_keep_every_digit() -> None:
    numbers = [2**53 + 1, 2**63 - 1, 2**64 - 1, -(2**63)]

    assert decode(encode(numbers)) == numbers


def test_a_tuple_comes_back_as_a_list() -> None:
    assert decode(encode((1, (2,)))) == [1, [2]]


@given(st.text("abc"), JSON, st.dictionaries(TEXTS, TEXTS) | st.none())
def test_a_body_gives_back_method_params_and_metadata(
    method: str, params: Any, metadata: dict[str, str] | None
) -> None:
    body = encode_body(method, params, metadata)

    assert decode_body(body) == (method, params, metadata or {})


def test_no_metadata_and_empty_metadata_are_the_same_body() -> None:
    assert encode_body("run", 1, None) == encode_body("run", 1, {})


def test_metadata_and_the_order_of_keys_do_not_make_another_request() -> None:
    body = encode_body("run", {"a": 1, "b": [2]}, {"trace": "one"})

    assert same_request(body, body)
    assert same_request(body, encode_body("run", {"b": [2], "a": 1}, {"trace": "two"}))
    assert same_request(body, encode_body("run", {"a": 1, "b": [2]}, None))


def test_another_method_or_other_params_make_another_request() -> None:
    body = encode_body("run", {"a": 1}, None)

    assert not same_request(body, encode_body("stop", {"a": 1}, None))
    assert not same_request(body, encode_body("run", {"a": 2}, None))
    assert not same_request(body, encode_body("run", None, None))


def test_params_that_are_no_json_are_named_in_the_error() -> None:
    with pytest.raises(NotJson, match=r"^params cannot be stored as JSON"):
        encode_body("run", {"point": Point()}, None)


def test_a_request_message_is_made_of_the_stored_body() -> None:
    body = encode_body("run", {"a": 1}, {"trace": "t"})

    message = request_message("m1", body, 86_400.5)

    assert message.message_id == "m1"
    assert (message.method, message.params) == ("run", {"a": 1})
    assert message.metadata == {"trace": "t"}
    assert message.timestamp.isoformat() == "1970-01-02T00:00:00.500000+00:00"


def test_two_actors_never_share_params() -> None:
    body = encode_body("run", {"list": []}, None)

    request_message("m1", body, 0).params["list"].append(1)

    assert request_message("m1", body, 0).params == {"list": []}


def test_a_stored_turn_is_shown_whole() -> None:
    record = TurnRecord(
        position=7,
        message_id="m7",
        status=RequestStatus.COMPLETED,
        attempts=2,
        body=encode_body("run", [1], {"k": "v"}),
        result=b'{"answer":42}',
        entries=b'[{"role":"user"}]',
        checkpoint=b'"partial"',
        accepted_at=1.0,
        ended_at=2.5,
    )

    view = turn_view(record)

    assert (view.position, view.message_id, view.attempts) == (7, "m7", 2)
    assert view.status is RequestStatus.COMPLETED
    assert (view.method, view.params, view.metadata) == ("run", [1], {"k": "v"})
    assert (view.data, view.checkpoint) == ({"answer": 42}, "partial")
    assert view.entries == [{"role": "user"}]
    assert view.accepted_at.timestamp() == 1.0
    assert view.ended_at is not None
    assert view.ended_at.timestamp() == 2.5
    assert view.ended_at.utcoffset() == dt.timedelta(0)


def test_a_trimmed_or_open_turn_is_shown_with_what_is_left_of_it() -> None:
    view = turn_view(TurnRecord(position=1, message_id="m1"))

    assert (view.method, view.params, view.metadata) == ("", None, {})
    assert (view.data, view.checkpoint, view.ended_at) == (None, None, None)
    assert view.entries == []


def test_an_error_is_recorded_by_type_and_message() -> None:
    assert describe_error(ValueError("no such city")) == {
        "type": "ValueError",
        "message": "no such city",
        "retryable": False,
    }


def test_an_error_without_a_message_is_recorded_by_its_type() -> None:
    assert describe_error(KeyError())["message"] == "KeyError"


def test_only_errors_of_this_package_say_that_they_may_be_retried() -> None:
    class Other(Exception):
        retryable = True

    assert describe_error(ActorBusy("a/b"))["retryable"] is True
    assert describe_error(OutcomeUnknown("a/b", "m1"))["retryable"] is False
    assert describe_error(Other())["retryable"] is False


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even its text")


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError("no file \udcff"),
        Unprintable(),
        ValueError("\x00"),
    ],
    ids=["surrogate", "unprintable", "nul"],
)
def test_every_error_can_be_recorded(error: Exception) -> None:
    recorded = encode({"error": describe_error(error)})

    assert decode(recorded)["error"]["type"] == type(error).__name__
