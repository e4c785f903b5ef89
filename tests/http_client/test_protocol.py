"""Values and errors that cross the wire are the same on the other side."""

import inspect
import os
from collections.abc import Iterator
from typing import Any, get_type_hints

import orjson
import pytest

from agent_runtime_nb import exceptions
from agent_runtime_nb.exceptions import AgentRuntimeError
from agent_runtime_nb.http_api.routes.actors import _problem
from agent_runtime_nb.http_client import protocol
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorResponseMessage,
    Cursor,
    RequestStatus,
    TurnUpdate,
)
from agent_runtime_nb.runtime_directory import RuntimeDirectory
from agent_runtime_nb.runtime_events import EVENT_KINDS
from tests.same_values import sample, sample_arguments, typed

WHERE = "http://127.0.0.1:8000"


# What a fact may be, whatever its error; the error's own text is made of it as well.
FACTS: list[object] = [
    None,
    True,
    3,
    2**70,
    2.5,
    float("inf"),
    "a text, ünusual",
    "",
    ["a", {"b": [1.0, None]}],
    {"$actor": "none"},
    ("a", (1, 1.0)),
    ActorId("echo", "a/ü"),
    (ActorId("echo", "a"), ActorId("echo", "b")),
    ActorResponseMessage(
        "m1", ActorId("echo", "a"), RequestStatus.FAILED, {"error": {"type": "E"}}, 2.5
    ),
]


def errors_with(fact: object) -> Iterator[AgentRuntimeError]:
    """One of each public error; what may be any object is the given fact."""
    for kind in vars(exceptions).values():
        if inspect.isclass(kind) and issubclass(kind, AgentRuntimeError):
            if "__init__" in vars(kind):
                # Signatures say what is asked for by name, too: `retryable`, `unit`.
                yield kind(**sample_arguments(kind.__init__, fact))
            else:
                yield kind("as it was given")


@pytest.mark.parametrize("fact", FACTS, ids=repr)
def test_every_error_is_raised_again_as_it_was(fact: object) -> None:
    for error in errors_with(fact):
        body = orjson.loads(_problem(error).response().body)

        again = protocol.error_of(body, WHERE)

        assert typed(again) == typed(error)


def test_what_belongs_to_the_process_of_an_error_stays_there() -> None:
    error = exceptions.InvalidActorId("instance id", object(), "1 to 512 characters")
    error.add_note("a note")

    again = protocol.error_of(_problem(error).body(), WHERE)

    assert vars(again) == {"part": "instance id", "value": str(error.value)}
    assert str(again) == str(error)


def test_an_error_that_names_a_file_with_odd_bytes_is_still_reported() -> None:
    error = exceptions.Corrupt(os.fsdecode(b"folder/\xff.db"), "page 3")

    again = protocol.error_of(orjson.loads(_problem(error).response().body), WHERE)

    assert isinstance(again, exceptions.Corrupt)
    assert "folder/?.db" in str(again)


def test_a_field_with_odd_characters_is_still_told() -> None:
    error = exceptions.InvalidRequest("message_id", "\ud800 has not ended yet")

    again = protocol.error_of(orjson.loads(_problem(error).response().body), WHERE)

    assert (type(again), vars(again)) == (exceptions.InvalidRequest, vars(error))


@pytest.mark.parametrize(
    "odd",
    [
        {"facts": [1]},
        {"facts": {"actor_id": {"$actor": ["1", ""]}}},
        {"facts": {"x": {"$json": "{"}}},
        {"errors": ["x"]},
    ],
)
def test_an_error_with_facts_that_cannot_be_read_is_a_remote_error(odd: Any) -> None:
    problem = {"type": f"{protocol.PROBLEM}actor-busy", "detail": "busy", **odd}

    assert isinstance(protocol.error_of(problem, WHERE), exceptions.RemoteError)


@pytest.mark.parametrize("verb", protocol.VERBS)
def test_what_a_verb_gives_is_the_same_again(verb: str) -> None:
    known = protocol.VERBS[verb]
    hint = get_type_hints(getattr(RuntimeDirectory, verb))["return"]
    made = sample(hint, {"a": [1, 1.0, None, True, "ü"]})

    again = known.read_result(orjson.loads(known.result.dump_json(made)))

    assert typed(again) == typed(made)


def test_a_stopped_runtime_is_known_by_its_state() -> None:
    again = protocol.error_of(_problem(exceptions.NotRunning("stopped")).body(), WHERE)

    assert isinstance(again, exceptions.NotRunning)
    assert again.state == "stopped"


@pytest.mark.parametrize("body", [None, [], {}, {"type": "about:blank"}])
def test_an_answer_of_another_server_is_a_remote_error(body: object) -> None:
    error = protocol.error_of(body, WHERE)

    assert isinstance(error, exceptions.RemoteError)
    assert WHERE in str(error)


def test_every_verb_that_only_reads_is_repeatable() -> None:
    assert set(protocol.VERBS) >= protocol.REPEATABLE
    once = {
        "delete_actor",
        "disallow_tool",
        "discard",
        "fork",
        "import_turns",
        "requeue",
        "revive",
        "withdraw",
    }
    assert set(protocol.VERBS) - protocol.REPEATABLE == once


@pytest.mark.parametrize("kind", EVENT_KINDS, ids=lambda kind: kind.__name__)
def test_an_event_is_the_same_again(kind: Any) -> None:
    made = sample(kind, {"a": [1, 1.0, None, True, "ü"]})

    again = protocol.event_from_json(
        orjson.loads(orjson.dumps(protocol.event_to_json(made)))
    )

    assert typed(again) == typed(made)


def test_an_event_of_a_newer_server_is_passed_over() -> None:
    assert protocol.event_from_json(["ActorDreamt", {"of": "sheep"}]) is None


def test_a_turn_update_is_the_same_again() -> None:
    update = TurnUpdate(Cursor(3, -1), "progress", "m", {"a": [1, None, "ü"]})

    text = protocol.TURN_UPDATE.dump_json(update)

    assert typed(protocol.TURN_UPDATE.validate_json(text)) == typed(update)


def test_an_actor_id_is_made_and_checked_again() -> None:
    arguments = protocol.VERBS["read_actor"].arguments
    given = arguments(actor_id=ActorId("a", "b/ü"))

    again: Any = arguments.model_validate_json(given.model_dump_json())

    assert again.actor_id == ActorId("a", "b/ü")
    with pytest.raises(ValueError, match="not valid"):
        arguments.model_validate_json('{"actor_id": ["1", "x"]}')


def test_an_error_of_a_person_with_one_of_our_names_does_not_take_its_place() -> None:
    class Full(AgentRuntimeError):
        """Somebody else's."""

    told = {"type": protocol.PROBLEM + "full", "detail": "no space"}

    found = protocol.error_of(told, "there")

    assert issubclass(Full, AgentRuntimeError)
    assert type(found) is exceptions.Full
