"""Asks that would wait for each other are found before they wait."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from agent_runtime_nb._waits import CHAIN, LONGEST_CHAIN, WaitGraph, outgoing
from agent_runtime_nb.exceptions import DeadlockDetected
from agent_runtime_nb.runtime_abstractions import ActorId

A, B, C = (ActorId("a", "1"), ActorId("b", "1"), ActorId("c", "1"))


@dataclass
class Turn:
    """A turn that asks."""

    actor_id: ActorId
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    is_asking: bool = True

    def time_left(self) -> float:
        return 1.0


def test_asks_in_one_direction_are_no_deadlock():
    graph = WaitGraph()

    with graph.waiting(A, B), graph.waiting(B, C), graph.waiting(A, C):
        graph.check(B, C)


def test_an_actor_that_asks_itself_is_a_deadlock():
    with pytest.raises(DeadlockDetected) as found:
        WaitGraph().check(A, A)

    assert found.value.actors == ("a/1", "a/1")


def test_a_chain_that_comes_back_names_its_actors_in_the_order_of_waiting():
    graph = WaitGraph()

    with (
        graph.waiting(A, B),
        graph.waiting(B, C),
        pytest.raises(DeadlockDetected) as found,
    ):
        graph.check(C, A)

    assert found.value.actors == ("c/1", "a/1", "b/1", "c/1")


def test_crossing_waits_are_found_when_the_second_begins():
    graph = WaitGraph()

    with graph.waiting(A, B), pytest.raises(DeadlockDetected), graph.waiting(B, A):
        pass


def test_a_wait_that_has_ended_is_forgotten_also_if_another_of_the_same_goes_on():
    graph = WaitGraph()

    with graph.waiting(A, B):
        with graph.waiting(A, B):
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
                waits.enter_context(graph.waiting(actor, further))

        assert graph.path(actors[0], A) is None
        assert graph.path(actors[0], actors[-1]) is not None


def test_an_ask_takes_the_chain_and_the_trace_along():
    turn = Turn(B, {CHAIN: '["a/1"]', "traceparent": "00-1", "other": "stays"})

    headers = outgoing(turn, C)

    assert headers == {CHAIN: '["a/1","b/1"]', "traceparent": "00-1"}


def test_a_chain_that_came_from_another_host_is_a_deadlock_too():
    turn = Turn(B, {CHAIN: '["c/1","a/1"]'})

    with pytest.raises(DeadlockDetected) as found:
        outgoing(turn, A)

    assert found.value.actors == ("a/1", "b/1", "a/1")


def test_asks_within_asks_of_ever_new_actors_end():
    turn = Turn(ActorId("x", "0"))
    for number in range(1, LONGEST_CHAIN + 1):
        asked = ActorId("x", str(number))
        turn = Turn(asked, outgoing(turn, asked))

    with pytest.raises(DeadlockDetected):
        outgoing(turn, ActorId("x", "one more"))
