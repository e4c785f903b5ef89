"""The wording of every error, and the shape of the tree."""

import inspect
import re
from functools import cache

import pytest

from agent_runtime_nb import exceptions
from agent_runtime_nb.exceptions import AgentRuntimeError

ACTOR = "echo/c1"

# One error of each class, and the whole of its message.
SAID: list[tuple[AgentRuntimeError, str]] = [
    (AgentRuntimeError("as it was given"), "as it was given"),
    (
        exceptions.InvalidActorId("type name", "1a", "it must begin with a letter"),
        "type name '1a' is not valid: it must begin with a letter",
    ),
    (
        exceptions.InvalidRequest("messages[0].role", "is missing"),
        "messages[0].role: is missing",
    ),
    (
        exceptions.InvalidAgent("a WorkflowAgent", "give a factory of it"),
        "a WorkflowAgent cannot be hosted as an agent: give a factory of it",
    ),
    (
        exceptions.AgentNameTaken("echo"),
        (
            "two agents are named 'echo': give them names of your own, "
            'start({"echo-2": agent, ...})'
        ),
    ),
    (
        exceptions.UnknownActorType("ecko", ["mock-ai", "abc", "echo"]),
        "no agent or actor type is named 'ecko'; known: echo, abc, mock-ai",
    ),
    (
        exceptions.RequestNotFound(ACTOR, "m1"),
        "echo/c1 has never accepted a request 'm1'",
    ),
    (
        exceptions.MissingExtra("fastapi", "http"),
        (
            "'fastapi' is not installed; it comes with: "
            'pip install "agent-runtime-nb[http]"'
        ),
    ),
    (
        exceptions.NotRunning("stopped"),
        "the runtime is stopped; call start() first",
    ),
    (
        exceptions.RemoteError("http://127.0.0.1:8000", "it does not answer"),
        "the server http://127.0.0.1:8000: it does not answer",
    ),
    (
        exceptions.ActorStartFailed(ACTOR, KeyError("key")),
        "the factory of echo/c1 raised KeyError: 'key'",
    ),
    (
        exceptions.ActorOwnedElsewhere(ACTOR, "process 7 on here"),
        (
            "echo/c1 is owned by process 7 on here, which is alive; use another "
            "conversation, stop that host, or take it over: start(take_over=True)"
        ),
    ),
    (
        exceptions.ActorBeingDeleted(ACTOR),
        "echo/c1 is being deleted; send again when it is gone",
    ),
    (
        exceptions.ActorBusy(ACTOR),
        'echo/c1 is in a turn and when_busy="reject" was asked',
    ),
    (
        exceptions.ActorQuarantined(ACTOR, 4, "ValueError: no"),
        (
            "echo/c1 is in quarantine: it failed 4 times in a row, last with "
            "ValueError: no; mend the cause, then revive it: "
            "await rt.revive('echo', conversation='c1')"
        ),
    ),
    (
        exceptions.ConversationFull(ACTOR, 5),
        (
            "echo/c1 has 5 turns, which is the limit; begin a new conversation, or "
            "fork this one before some of them"
        ),
    ),
    (
        exceptions.DeadlockDetected([ACTOR, "b/1", ACTOR]),
        (
            "echo/c1 -> b/1 -> echo/c1: these asks would wait for each other for "
            "ever; use tell(), which does not wait, or ask from outside the turn"
        ),
    ),
    (
        exceptions.DeadLetter(ACTOR, 3),
        (
            "echo/c1 was begun 3 times with this request and its host died each time; "
            "requeue() sends it again"
        ),
    ),
    (
        exceptions.MailboxFull(ACTOR, 100, 2.6),
        "echo/c1 has 100 requests waiting; try again in 3 s or withdraw one",
    ),
    (
        exceptions.MessageIdReused(ACTOR, "m1"),
        "echo/c1 already has a request 'm1' with another body; use a new message id",
    ),
    (
        exceptions.NotCompleted(ACTOR, "returned from run()"),
        "echo/c1 returned from run() without completing the request",
    ),
    (
        exceptions.OutsideTurn(ACTOR, "write_state()"),
        (
            "write_state() of echo/c1 was called outside a turn: take a message from "
            "watch_messages() first, and do not use it after complete_request()"
        ),
    ),
    (
        exceptions.MailboxDrained(ACTOR),
        (
            "echo/c1 asked for messages after watch_messages() had ended: return from "
            "run(); it is started again when there is work"
        ),
    ),
    (
        exceptions.NotJson("params", "it contains NaN"),
        "params cannot be stored as JSON: it contains NaN",
    ),
    (
        exceptions.DeadlineExceeded("the request", 0.5),
        "the request did not finish within 0.5 s",
    ),
    (
        exceptions.LoopBlocked(10),
        (
            "the runtime's event loop has not answered for 10 s: blocking code runs on "
            'it; wait for that cell, or use start(..., loop="thread")'
        ),
    ),
    (
        exceptions.TurnFailed("failed", "ValueError", "no such city"),
        "the turn failed: ValueError: no such city",
    ),
    (exceptions.StorageError("as it was given"), "as it was given"),
    (
        exceptions.Conflict(ACTOR, "v1", "v2"),
        "echo/c1 was changed by somebody else: expected version v1, found v2",
    ),
    (
        exceptions.StaleEpoch(ACTOR, 3, "process 7 on here"),
        (
            "echo/c1 is owned by process 7 on here now; a write with the old epoch 3 "
            "was refused"
        ),
    ),
    (
        exceptions.Unavailable("redis", "connection refused"),
        "the storage redis cannot be reached: connection refused",
    ),
    (exceptions.Full("state.db"), "the storage state.db has no space left; free some"),
    (
        exceptions.ReadOnly("state.db"),
        (
            "the storage state.db is read-only; choose a writable place with "
            "start(storage=...) or AGENT_RUNTIME_STORAGE"
        ),
    ),
    (
        exceptions.Corrupt("state.db", "page 3"),
        (
            "the storage state.db is damaged (page 3); it was left untouched: "
            "move it away to start afresh, or restore a backup"
        ),
    ),
    (
        exceptions.StorageLost("state.db", "state.db-wal was deleted or moved away"),
        (
            "the storage state.db was taken away while it was open (state.db-wal was "
            "deleted or moved away); nothing is stored any more: put it right, then "
            "stop and start again"
        ),
    ),
    (
        exceptions.TooLarge("the request", 9_000_000, 8_000_000),
        "the request has 9,000,000 bytes; the limit is 8,000,000",
    ),
    (
        exceptions.SchemaTooNew("state.db", 4, 3),
        (
            "the storage state.db has schema 4, this version knows up to 3; "
            "upgrade agent-runtime-nb"
        ),
    ),
    (exceptions.StorageClosed("state.db"), "the storage state.db is not open"),
    (
        exceptions.OutcomeUnknown(ACTOR, "m1"),
        (
            "it is not known whether commit m1 of echo/c1 took effect; ask for the "
            "request again with its message id"
        ),
    ),
    (
        exceptions.CopyFailed("a.db", "b.db", "they are the same"),
        "the copy of a.db to b.db stopped: they are the same",
    ),
]

RETRYABLE = {
    "ActorBeingDeleted",
    "ActorBusy",
    "ActorOwnedElsewhere",
    "Conflict",
    "DeadlineExceeded",
    "Full",
    "LoopBlocked",
    "MailboxFull",
    "Unavailable",
}


@cache
def classes() -> list[type[AgentRuntimeError]]:
    """Every error class of the module, in the order of the file."""
    found = [
        member
        for member in vars(exceptions).values()
        if inspect.isclass(member) and issubclass(member, AgentRuntimeError)
    ]
    return sorted(found, key=lambda each: inspect.getsourcelines(each)[1])


def tree_of(parent: type, indent: str) -> list[str]:
    """The classes under a parent, drawn as the head of the module draws them."""
    children = [each for each in classes() if parent in each.__bases__]
    # A branch that goes on is drawn last.
    branches = {base for each in classes() for base in each.__bases__}
    children.sort(key=lambda each: each in branches)
    lines: list[str] = []
    for child in children:
        last = child is children[-1]
        builtin = [base.__name__ for base in child.__bases__ if base is not parent]
        note = f" ({builtin[0]})" if builtin else ""
        lines.append(f"{indent}{'└── ' if last else '├── '}{child.__name__}{note}")
        lines += tree_of(child, indent + ("    " if last else "│   "))
    return lines


@pytest.mark.parametrize(
    ("error", "message"), SAID, ids=[type(error).__name__ for error, _ in SAID]
)
def test_an_error_says_what_happened_and_what_to_do(
    error: AgentRuntimeError, message: str
) -> None:
    assert str(error) == message


def test_the_message_of_every_error_is_tested() -> None:
    tested = [type(error) for error, _ in SAID]

    assert tested == classes()


def test_the_tree_at_the_head_of_the_module_is_the_real_tree() -> None:
    head = inspect.getdoc(exceptions) or ""
    drawn = head.partition("    AgentRuntimeError\n")[2].partition("\n\n")[0]

    shown = [re.sub(r" +\(", " (", line) for line in drawn.splitlines()]

    assert shown == tree_of(AgentRuntimeError, "    ")


def test_only_errors_that_may_pass_by_themselves_are_retryable() -> None:
    retryable = {each.__name__ for each in classes() if each.retryable}

    assert retryable == RETRYABLE


def test_a_type_name_that_is_close_is_named_first() -> None:
    near = exceptions.UnknownActorType("wether", ["echo", "weather"])
    none = exceptions.UnknownActorType("echo", [])

    assert str(near).endswith("known: weather, echo")
    assert str(none).endswith("known: none yet, give one to start(agent)")


def test_a_long_or_unprintable_id_is_shown_short_and_in_ascii() -> None:
    long = str(exceptions.InvalidActorId("instance id", "é" * 999, "too long"))
    control = str(exceptions.InvalidActorId("instance id", "a\nb", "a rule"))

    assert long.isascii()
    assert len(long) < 140
    assert control == r"instance id 'a\nb' is not valid: a rule"


def test_a_failed_turn_says_no_more_than_is_known() -> None:
    bare = exceptions.TurnFailed("interrupted", "", "")
    typed = exceptions.TurnFailed("failed", "ValueError", "")

    assert str(bare) == "the turn was interrupted"
    assert str(typed) == "the turn failed: ValueError"


def test_errors_carry_their_facts() -> None:
    failed = exceptions.TurnFailed("failed", "E", "d", retryable=True, response=1)
    full = exceptions.MailboxFull(ACTOR, 100, 2.5)
    reached = exceptions.Unavailable("redis", "refused", retry_after=7)
    large = exceptions.TooLarge("it", 9, 8)

    assert (failed.status, failed.error_type, failed.detail) == ("failed", "E", "d")
    assert (failed.retryable, failed.response) == (True, 1)
    assert (full.limit, full.retry_after) == (100, 2.5)
    assert reached.retry_after == 7
    assert (large.size, large.limit) == (9, 8)


def test_a_caller_may_catch_the_builtin_error_that_it_knows() -> None:
    assert issubclass(exceptions.DeadlineExceeded, TimeoutError)
    assert issubclass(exceptions.InvalidActorId, ValueError)
    assert issubclass(exceptions.MissingExtra, ImportError)
    assert issubclass(exceptions.UnknownActorType, LookupError)
