"""The history of a run: what was acknowledged, answered and run; is it stored so?

It is kept in the process of the driver, so no kill of a host makes it forget. It
believes what came through the pipe, also what was still in it when the host died.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    RequestStatus,
)
from agent_runtime_nb.storage.sqlite.storage import SqliteStateStorage
from agent_runtime_nb.storage_abstractions import (
    HostInfo,
    TurnRecord,
)
from tests.chaos.actors import agent_answer
from tests.chaos.messages import Accepted, Answered, Ask, Ran, Refused, Report


@dataclass(slots=True)
class Asked:
    """What is known of one request; lives are numbers of processes."""

    ask: Ask
    sent: list[int] = field(default_factory=list[int])
    ran: list[int] = field(default_factory=list[int])
    acknowledged: bool = False
    answers: list[tuple[RequestStatus, Any]] = field(
        default_factory=list[tuple[RequestStatus, Any]]
    )
    refusals: list[str] = field(default_factory=list[str])


class History:
    """What was sent and heard, and what has no answer, in the order of first sends."""

    def __init__(self) -> None:
        self.asked: dict[tuple[ActorId, str], Asked] = {}
        self.unanswered: dict[tuple[ActorId, str], Asked] = {}
        self.kills = 0

    def sends(self, ask: Ask, life: int) -> None:
        """The driver sends a request, for the first time or again."""
        key = ask.actor_id, ask.message_id
        if key not in self.asked:
            self.asked[key] = self.unanswered[key] = Asked(ask)
        self.asked[key].sent.append(life)

    def hears(self, report: Report, life: int) -> None:
        """A host has said something."""
        match report:
            case Accepted():
                self._of(report).acknowledged = True
            case Ran():
                self._of(report).ran.append(life)
            case Answered():
                self._of(report).answers.append((report.status, report.data))
                self.unanswered.pop((report.actor_id, report.message_id), None)
            case Refused():
                self._of(report).refusals.append(report.error)
            case _:
                pass

    def _of(self, report: Accepted | Ran | Answered | Refused) -> Asked:
        return self.asked[report.actor_id, report.message_id]

    def by_actor(self) -> Mapping[ActorId, list[Asked]]:
        """The requests of each actor, in the order of their first sends."""
        actors: defaultdict[ActorId, list[Asked]] = defaultdict(list)
        for (actor_id, _), asked in self.asked.items():
            actors[actor_id].append(asked)
        return actors


class Stored(NamedTuple):
    """What the storage has of an actor."""

    turns: list[TurnRecord]
    values: Mapping[str, bytes]


async def read_all(path: str, history: History) -> dict[ActorId, Stored]:
    """All that is stored of the actors that the history knows."""
    storage = SqliteStateStorage(path)
    await storage.open(HostInfo("the-judge", "judge"))
    stored: dict[ActorId, Stored] = {}
    for actor_id in history.by_actor():
        turns = await storage.read_turns(actor_id, limit=1_000_000)
        values = (await storage.read_state(actor_id)).values
        stored[actor_id] = Stored(turns, values)
    await storage.close()
    return stored


class Finding(NamedTuple):
    """A broken promise."""

    kind: str
    text: str


def judge(
    history: History, stored: Mapping[ActorId, Stored], *, most_runs: int = 1
) -> list[Finding]:
    """Every promise that was broken; `most_runs` over 1: what was left runs again."""
    findings: list[Finding] = []
    for actor_id, requests in history.by_actor().items():
        found = stored.get(actor_id, Stored([], {}))
        turns = {turn.message_id: turn for turn in found.turns}
        for asked in requests:
            turn = turns.get(asked.ask.message_id)
            findings += _judge_request(asked, turn)
            findings += _judge_runs(asked, turn, most_runs)
        findings += _judge_order(actor_id, requests, found.turns)
        if actor_id.type_name == "counter":
            findings += _judge_count(actor_id, found)
    return findings


def _judge_request(asked: Asked, turn: TurnRecord | None) -> Iterator[Finding]:
    name = f"{asked.ask.actor_id} {asked.ask.message_id}"
    if asked.acknowledged and turn is None:
        yield Finding("lost", f"{name} was acknowledged and is not stored")
    if asked.answers and turn is None:
        yield Finding("lost", f"{name} was answered and is not stored")
    if turn is not None and not turn.status.is_final:
        yield Finding("open", f"{name} has no final status")
    if not asked.answers:
        yield Finding("unanswered", f"{name} got no answer: {asked.refusals}")
    if asked.refusals:
        yield Finding("refused", f"{name}: {asked.refusals}")
    answers = {_text(status, data) for status, data in asked.answers}
    if turn is not None and turn.result is not None:
        answers.add(_text(turn.status, json.loads(turn.result)))
    if len(answers) > 1:
        yield Finding("two answers", f"{name}: {sorted(answers)}")
    if any(_is_of_another(asked, answer) for answer in asked.answers):
        yield Finding("wrong answer", f"{name}: {asked.answers}")


def _judge_runs(
    asked: Asked, turn: TurnRecord | None, most_runs: int
) -> Iterator[Finding]:
    name = f"{asked.ask.actor_id} {asked.ask.message_id}"
    if len(asked.ran) > most_runs:
        yield Finding("ran by itself", f"{name} ran in the lives {asked.ran}")
    if most_runs == 1 and not set(asked.ran) <= set(asked.sent):
        lives = f"{asked.ran}, was sent in {asked.sent}"
        yield Finding("ran by itself", f"{name} ran in {lives}")
    if turn is None:
        return
    if turn.attempts > most_runs:
        yield Finding("ran by itself", f"{name} has {turn.attempts} attempts")
    if turn.attempts < len(asked.ran):
        yield Finding("not counted", f"{name} ran and has {turn.attempts} attempts")
    if turn.status is RequestStatus.COMPLETED and not asked.ran:
        yield Finding("never ran", f"{name} is COMPLETED and never ran")


def _is_of_another(asked: Asked, answer: tuple[RequestStatus, Any]) -> bool:
    status, data = answer
    if status is RequestStatus.INTERRUPTED:
        return False
    if status is RequestStatus.FAILED and _is_dead_letter(data):
        return False
    if status is not RequestStatus.COMPLETED:
        return True  # nothing else here fails or is cancelled
    if asked.ask.actor_id.type_name != "agent":
        return False
    return data["messages"][-1]["content"] != agent_answer(asked.ask.message_id)


def _is_dead_letter(data: Any) -> bool:
    match data:
        case {"error": {"type": "DeadLetter"}}:
            return True
        case _:
            return False


def _text(status: RequestStatus, data: Any) -> str:
    return f"{status} {json.dumps(data, sort_keys=True)}"


def _judge_order(
    actor_id: ActorId, requests: list[Asked], turns: list[TurnRecord]
) -> Iterator[Finding]:
    # One caller sends to each actor and sends again in the old order.
    places = {asked.ask.message_id: place for place, asked in enumerate(requests)}
    order = [
        (turn.position, places.get(turn.message_id, -1), turn.message_id)
        for turn in turns
    ]
    for one, next_one in pairwise(order):
        if one[0] >= next_one[0] or one[1] >= next_one[1]:
            yield Finding("order", f"{actor_id}: {one} before {next_one}")
    for position, place, message_id in order:
        if place < 0:
            text = f"{actor_id}: {message_id} at {position} was never sent"
            yield Finding("unknown", text)


def _judge_count(actor_id: ActorId, found: Stored) -> Iterator[Finding]:
    completed = [turn for turn in found.turns if turn.status is RequestStatus.COMPLETED]
    counts = [json.loads(turn.result or b"{}").get("count") for turn in completed]
    if counts != list(range(1, len(completed) + 1)):
        yield Finding("count", f"{actor_id} counted {counts}")
    state = json.loads(found.values.get("count", b"0"))
    if state != len(completed):
        text = f"{actor_id} has counted {state} of {len(completed)} turns"
        yield Finding("count", text)
