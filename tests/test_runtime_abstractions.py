"""The words: identities, places and statuses."""

import copy
import pickle
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given, strategies as st

from agent_runtime_nb.exceptions import InvalidActorId
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorMessageType,
    ActorRequestMessage,
    ActorResponseMessage,
    Cursor,
    RequestStatus,
)

TYPE_NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.:-]{0,63}", fullmatch=True)
INSTANCE_IDS = st.text(
    st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=512
)
ACTOR_IDS = st.builds(ActorId, TYPE_NAMES, INSTANCE_IDS)


@given(TYPE_NAMES, INSTANCE_IDS)
@example("mock-ai", "x" * 512)
@example("a" * 64, "a/b/c")
@example("_", " ")
@example("ns:type.v2", "日本語 🙂")
def test_every_id_within_the_rules_is_taken_as_it_is(
    type_name: str, instance_id: str
) -> None:
    actor_id = ActorId(type_name, instance_id)

    assert actor_id.type_name == type_name
    assert actor_id.instance_id == instance_id


@given(ACTOR_IDS)
@example(ActorId("echo", "/"))
def test_an_id_is_read_back_from_its_text(actor_id: ActorId) -> None:
    assert ActorId.parse(str(actor_id)) == actor_id


@given(ACTOR_IDS, ACTOR_IDS)
def test_two_ids_are_the_same_only_if_their_texts_are(
    one: ActorId, other: ActorId
) -> None:
    assert (one == other) == (str(one) == str(other))
    assert len({one, other}) == len({str(one), str(other)})


@pytest.mark.parametrize(
    "type_name",
    ["", "1a", "-a", "a b", "a/b", "a\n", "é", "a" * 65, "\uff41", None, 1, b"a"],
)
def test_a_bad_type_name_is_refused_where_the_id_is_made(type_name: object) -> None:
    with pytest.raises(InvalidActorId, match=r"^type name"):
        ActorId(type_name, "c1")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    "instance_id",
    ["", "a\nb", "a\x00", "\x7f", "\x85", "\ud800", "x" * 513, None, 1, b"a"],
)
def test_a_bad_instance_id_is_refused_where_the_id_is_made(
    instance_id: object,
) -> None:
    with pytest.raises(InvalidActorId, match=r"^instance id"):
        ActorId("echo", instance_id)  # pyright: ignore[reportArgumentType]


@given(
    st.text(max_size=5),
    st.sampled_from([chr(n) for n in range(sys.maxunicode + 1) if chr(n) < " "]),
    st.text(max_size=5),
)
def test_no_control_character_gets_in_anywhere(
    before: str, control: str, after: str
) -> None:
    with pytest.raises(InvalidActorId):
        ActorId("echo", before + control + after)


@pytest.mark.parametrize("text", ["", "echo", "echo/", "/c1", "a b/c1"])
def test_a_text_that_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(InvalidActorId):
        ActorId.parse(text)


def test_ids_are_compared_exactly() -> None:
    composed, decomposed = ActorId("a", "\u00e9"), ActorId("a", "e\u0301")

    assert composed != decomposed
    assert ActorId("a", "c1") != ActorId("A", "c1")


@pytest.mark.parametrize(
    "make",
    [
        lambda: ActorId("echo", "c1")._replace(instance_id="a\nb"),
        lambda: ActorId("echo", "c1")._replace(type_name="1"),
        lambda: ActorId._make(["echo", ""]),
        lambda: copy.copy(_broken_id()),
        lambda: copy.deepcopy([_broken_id()]),
        *(
            lambda protocol=protocol: pickle.loads(pickle.dumps(_broken_id(), protocol))  # noqa: S301 - made here
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
        ),
    ],
)
def test_a_broken_id_gets_in_by_no_other_way_either(make: Callable[[], object]) -> None:
    with pytest.raises(InvalidActorId):
        make()


def _broken_id() -> ActorId:
    return tuple.__new__(ActorId, ("echo", "a\nb"))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_an_id_is_itself_after_every_protocol_of_pickle(protocol: int) -> None:
    actor_id = ActorId("echo", "a/ü")

    again = pickle.loads(pickle.dumps(actor_id, protocol))  # noqa: S301 - made here

    assert (type(again), again) == (ActorId, actor_id)
    assert actor_id._replace(instance_id="b") == ActorId("echo", "b")
    assert type(actor_id._replace(instance_id="b")) is ActorId


def test_an_id_cannot_be_changed_and_survives_a_copy() -> None:
    actor_id = ActorId("echo", "c1")

    with pytest.raises(AttributeError):
        actor_id.type_name = "other"  # pyright: ignore[reportAttributeAccessIssue]

    assert copy.deepcopy(actor_id) == actor_id


@given(st.integers(min_value=0), st.integers(min_value=-1))
def test_a_cursor_is_read_back_from_its_text(turn: int, sequence: int) -> None:
    cursor = Cursor(turn, sequence)

    assert Cursor.parse(str(cursor)) == cursor


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "1.",
        ".1",
        "a.b",
        "1.2.3",
        "1,2",
        "1.0x",
        "1_0.2",
        " 1.2",
        "1.2\n",
        "\u0661.2",
    ],
)
def test_a_text_that_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"cursor"):
        Cursor.parse(text)


@given(st.lists(st.builds(Cursor, st.integers(0, 9), st.integers(-1, 9))))
def test_cursors_are_ordered_by_turn_and_then_by_update(cursors: list[Cursor]) -> None:
    assert sorted(cursors) == sorted(
        cursors, key=lambda cursor: (cursor.turn, cursor.sequence)
    )


def test_statuses_are_written_in_lower_case() -> None:
    assert {str(status) for status in RequestStatus} == {
        "pending",
        "completed",
        "failed",
        "cancelled",
        "interrupted",
        "not_found",
    }
    assert [str(kind) for kind in ActorMessageType] == ["request", "response"]


def test_every_status_is_final_but_pending_and_not_found() -> None:
    final = {status for status in RequestStatus if status.is_final}

    assert final == set(RequestStatus) - {
        RequestStatus.PENDING,
        RequestStatus.NOT_FOUND,
    }


def test_messages_say_what_they_are_and_when_they_were_made() -> None:
    request = ActorRequestMessage(message_id="m1", method="run")
    response = ActorResponseMessage(
        message_id="m1", sender_id=ActorId("a", "b"), status=RequestStatus.COMPLETED
    )

    assert request.message_type is ActorMessageType.REQUEST
    assert response.message_type is ActorMessageType.RESPONSE
    for message in (request, response):
        assert message.timestamp.utcoffset() == timedelta(0)
        assert datetime.now(UTC) - message.timestamp < timedelta(minutes=1)


def test_two_requests_do_not_share_their_metadata() -> None:
    one = ActorRequestMessage(message_id="m1", method="run")
    other = ActorRequestMessage(message_id="m2", method="run")

    assert one.metadata == {}
    assert one.metadata is not other.metadata
