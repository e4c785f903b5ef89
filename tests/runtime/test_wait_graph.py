"""Asks that would wait for each other are found before they wait."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from agent_runtime_nb.exceptions import DeadlockDetected
from agent_runtime_nb.runtime.wait_graph import (
    CHAIN,
    LONGEST_CHAIN,
    Wait,
    WaitGraph,
    outgoing,
)
from agent_runtime_nb.runtime_abstractions import ActorId

A, B, C = (ActorId("a", "1"), ActorId("b", "1"), ActorId("c", "1"))


@dataclass(frozen=True)
class Request:
    """What a turn processes."""

    message_id: str


FIRST, SECOND = Request("m1"), Request("m2")


@dataclass
class Turn:
    """A turn that asks."""

    actor_id: ActorId
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    is_asking: bool = True
    turn: Request | None = FIRST

    def time_left(self) -> float:
        return 1.0


def always(_: ActorId, message_id: str) -> bool:
    """Every turn still waits."""
    return True


def wait(asker: ActorId, asked: ActorId) -> Wait:
    """A turn waits that goes on."""
    return Wait(Turn(asker), FIRST, asked)


def test_asks_in_one_direction_are_no_deadlock():
    graph = WaitGraph()

    with (
        graph.waiting(wait(A, B)),
        graph.waiting(wait(B, C)),
        graph.waiting(wait(A, C)),
    ):
        graph.check(B, C)


def test_an_actor_that_asks_itself_is_a_deadlock():
    with pytest.raises(DeadlockDetected) as found:
        WaitGraph().check(A, A)

    assert found.value.actors == ("a/1", "a/1")


def test_a_chain_that_comes_back_names_its_actors_in_the_order_of_waiting():
    graph = WaitGraph()

    with (
        graph.waiting(wait(A, B)),
        graph.waiting(wait(B, C)),
        pytest.raises(DeadlockDetected) as found,
    ):
        graph.check(C, A)

    assert found.value.actors == ("c/1", "a/1", "b/1", "c/1")


def test_crossing_waits_are_found_when_the_second_begins():
    graph = WaitGraph()

    with (
        graph.waiting(wait(A, B)),
        pytest.raises(DeadlockDetected),
        graph.waiting(wait(B, A)),
    ):
        pass


def test_a_wait_that_has_ended_is_forgotten_also_if_another_of_the_same_goes_on():
    graph = WaitGraph()

    with graph.waiting(wait(A, B)):
        with graph.waiting(wait(A, B)):
            pass
        with pytest.raises(DeadlockDetected):
            graph.check(B, A)

    graph.check(B, A)


def test_waits_that_branch_and_meet_again_are_looked_at_once():
    graph = WaitGraph()
    actors = [ActorId("x", str(number)) for number in range(60)]

    with ExitStack() as waits:
        for number, actor in enumerate(actors):
            for further in actors[number + 1 : number + 3]:
                waits.enter_context(graph.waiting(wait(actor, further)))

        assert graph.path(actors[0], A) is None
        assert graph.path(actors[0], actors[-1]) is not None


@pytest.mark.parametrize("now", [SECOND, None])
def test_the_wait_of_a_turn_that_was_given_up_holds_nobody_up(now: Request | None):
    graph, asking = WaitGraph(), Turn(A)

    with graph.waiting(Wait(asking, asking.turn, B)):
        with pytest.raises(DeadlockDetected):
            graph.check(B, A)
        asking.turn = now
        graph.check(B, A)


def test_a_wait_that_began_between_turns_holds_nobody_up():
    assert not Wait(Turn(A, turn=None), None, B).holds


def test_an_ask_takes_the_chain_and_the_trace_along():
    turn = Turn(B, {CHAIN: '[["a/1","m0"]]', "traceparent": "00-1", "other": "stays"})

    headers = outgoing(turn, C, always)

    assert headers == {CHAIN: '[["a/1","m0"],["b/1","m1"]]', "traceparent": "00-1"}


def test_a_chain_that_came_from_another_host_is_a_deadlock_too():
    turn = Turn(B, {CHAIN: '[["c/1","m"],["a/1","m0"]]'})

    with pytest.raises(DeadlockDetected) as found:
        outgoing(turn, A, always)

    assert found.value.actors == ("a/1", "b/1", "a/1")


def test_a_turn_of_the_chain_that_has_ended_waits_no_longer():
    turn = Turn(B, {CHAIN: '[["a/1","m0"],["a/1","m1"]]'})
    asked: list[tuple[ActorId, str]] = []

    def never(actor_id: ActorId, message_id: str) -> bool:
        asked.append((actor_id, message_id))
        return False

    headers = outgoing(turn, A, never)

    assert asked == [(A, "m0"), (A, "m1")]
    assert headers[CHAIN].endswith('["b/1","m1"]]')


def test_a_chain_in_the_form_of_earlier_versions_is_passed_over():
    headers = outgoing(Turn(B, {CHAIN: '["a/1"]'}), A, always)

    assert headers[CHAIN] == '[["b/1","m1"]]'


def test_an_ask_of_itself_is_a_deadlock_without_a_chain_too():
    with pytest.raises(DeadlockDetected) as found:
        outgoing(Turn(A), A, always)

    assert found.value.actors == ("a/1", "a/1")


def test_asks_within_asks_of_ever_new_actors_end():
    turn = Turn(ActorId("x", "0"))
    for number in range(1, LONGEST_CHAIN + 1):
        asked = ActorId("x", str(number))
        turn = Turn(asked, outgoing(turn, asked, always))

    with pytest.raises(DeadlockDetected):
        outgoing(turn, ActorId("x", "one more"), always)
