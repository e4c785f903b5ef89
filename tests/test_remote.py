"""Values and errors that cross the wire are the same on the other side."""

from typing import Any

import pytest

from agent_runtime_nb import _remote, exceptions
from agent_runtime_nb.exceptions import AgentRuntimeError
from agent_runtime_nb.http_api.actor_routes import _problem
from agent_runtime_nb.runtime_abstractions import ActorId, Cursor, TurnUpdate
from agent_runtime_nb.runtime_events import EVENT_KINDS
from tests.test_exceptions import SAID

WHERE = "http://127.0.0.1:8000"


# The root itself arrives as a RemoteError: its name says nothing.
ERRORS = [error for error, _ in SAID if type(error) is not AgentRuntimeError]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_is_raised_again_as_it_was(error: AgentRuntimeError) -> None:
    again = _remote.error_of(_problem(error).body(), WHERE)

    assert (type(again), str(again)) == (type(error), str(error))
    assert again.retryable == error.retryable
    for name, value in vars(error).items():
        told: Any = getattr(again, name)
        assert told == value or told == str(value)


def test_a_stopped_runtime_is_known_by_its_state() -> None:
    again = _remote.error_of(_problem(exceptions.NotRunning("stopped")).body(), WHERE)

    assert isinstance(again, exceptions.NotRunning)
    assert again.state == "stopped"


@pytest.mark.parametrize("body", [None, [], {}, {"type": "about:blank"}])
def test_an_answer_of_another_server_is_a_remote_error(body: object) -> None:
    error = _remote.error_of(body, WHERE)

    assert isinstance(error, exceptions.RemoteError)
    assert WHERE in str(error)


def test_every_verb_that_looks_may_be_asked_again() -> None:
    assert set(_remote.VERBS) >= _remote.REPEATABLE
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
    assert set(_remote.VERBS) - _remote.REPEATABLE == once


@pytest.mark.parametrize("kind", EVENT_KINDS, ids=lambda kind: kind.__name__)
def test_an_event_is_the_same_again(kind: Any) -> None:
    made = kind(**{name: f"a {name}" for name in kind.__dataclass_fields__})

    assert _remote.event_from_json(_remote.event_to_json(made)) == made


def test_an_event_of_a_newer_server_is_passed_over() -> None:
    assert _remote.event_from_json(["ActorDreamt", {"of": "sheep"}]) is None


def test_a_turn_update_is_the_same_again() -> None:
    update = TurnUpdate(Cursor(3, -1), "progress", "m", {"a": [1, None, "ü"]})

    text = _remote.TURN_UPDATE.dump_json(update)

    assert _remote.TURN_UPDATE.validate_json(text) == update


def test_an_actor_id_is_made_and_checked_again() -> None:
    arguments = _remote.VERBS["read_actor"].arguments
    given = arguments(actor_id=ActorId("a", "b/ü"))

    again: Any = arguments.model_validate_json(given.model_dump_json())

    assert again.actor_id == ActorId("a", "b/ü")
    with pytest.raises(ValueError, match="not valid"):
        arguments.model_validate_json('{"actor_id": ["1", "x"]}')
