"""The judge of the kill loop finds every promise that can be broken."""

import json
from collections.abc import Callable

import pytest

from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    RequestStatus,
)
from agent_runtime_nb.storage_abstractions import (
    TurnRecord,
)
from tests.chaos.history import Asked, History, Stored, judge
from tests.chaos.messages import Accepted, Answered, Ask, Ran

COUNTER = ActorId("counter", "c")


class Case:
    """Two counted turns and an interrupted one, as they should be."""

    def __init__(self) -> None:
        self.history = History()
        self.turns: list[TurnRecord] = []
        for number, status in enumerate(["completed", "interrupted", "completed"], 1):
            self._add(f"m{number}", number, RequestStatus(status))
        self.count = 2

    def _add(self, message_id: str, position: int, status: RequestStatus) -> None:
        completed = [one for one in self.turns if one.status == "completed"]
        data = {"count": len(completed) + 1} if status == "completed" else {"error": 1}
        self.history.sends(Ask(COUNTER, message_id, {}), life=position)
        self.history.hears(Accepted(COUNTER, message_id), position)
        self.history.hears(Ran(COUNTER, message_id), position)
        self.history.hears(Answered(COUNTER, message_id, status, data), position)
        turn = TurnRecord(
            position=position,
            message_id=message_id,
            status=status,
            attempts=1,
            result=json.dumps(data).encode(),
        )
        self.turns.append(turn)

    @property
    def second(self) -> Asked:
        """The interrupted request."""
        return self.history.asked[COUNTER, "m2"]

    def kinds(self) -> set[str]:
        stored = Stored(self.turns, {"count": str(self.count).encode()})
        return {finding.kind for finding in judge(self.history, {COUNTER: stored})}


def lose(case: Case) -> None:
    del case.turns[1]


def leave_open(case: Case) -> None:
    case.turns[1].status = RequestStatus.PENDING


def give_no_answer(case: Case) -> None:
    case.second.answers.clear()


def answer_twice(case: Case) -> None:
    case.second.answers.append((RequestStatus.COMPLETED, {"count": 2}))


def store_another_answer(case: Case) -> None:
    case.turns[1].result = b'{"count": 2}'


def run_again(case: Case) -> None:
    case.second.ran.append(3)


def run_unsent(case: Case) -> None:
    case.second.ran[:] = [3]


def attempt_twice(case: Case) -> None:
    case.turns[1].attempts = 2


def swap_order(case: Case) -> None:
    case.turns[0].message_id, case.turns[1].message_id = "m2", "m1"


def use_a_position_twice(case: Case) -> None:
    case.turns[1].position = 1


def count_too_far(case: Case) -> None:
    case.count = 3


def fail(case: Case) -> None:
    case.second.answers[:] = [(RequestStatus.FAILED, {"error": 1})]


@pytest.mark.parametrize(
    ("harm", "kind"),
    [
        (lose, "lost"),
        (leave_open, "open"),
        (give_no_answer, "unanswered"),
        (answer_twice, "two answers"),
        (store_another_answer, "two answers"),
        (run_again, "ran by itself"),
        (run_unsent, "ran by itself"),
        (attempt_twice, "ran by itself"),
        (swap_order, "order"),
        (use_a_position_twice, "order"),
        (count_too_far, "count"),
        (fail, "wrong answer"),
    ],
)
def test_the_judge_finds_what_is_wrong(harm: Callable[[Case], None], kind: str) -> None:
    case = Case()
    assert case.kinds() == set()

    harm(case)

    assert kind in case.kinds()
