"""Whether the promises P1 to P7 were kept in a simulated run.

Judged by what is stored in the end and by what the observer outside has seen.
"""

import json
from collections.abc import Iterable, Iterator
from itertools import combinations, pairwise
from typing import Any, cast

from agent_runtime_nb._base.json_codec import decode_body
from agent_runtime_nb.runtime_abstractions import ActorId, RequestStatus
from agent_runtime_nb.storage_abstractions import IActorStateStorage, TurnRecord
from agent_runtime_nb.supervision import OnInterrupted, RestartPolicy
from agent_runtime_nb.testing.simulated_loop import EPOCH
from tests.simulation.history import Answer, Asked, Finding, History, Run

_PATIENCE = 4.0


async def judge(
    history: History, storage: IActorStateStorage, on_interrupted: OnInterrupted
) -> list[Finding]:
    """Every promise that was broken."""
    findings = list(history.findings)
    reruns = on_interrupted == "rerun"
    most = RestartPolicy().max_attempts if reruns else 1
    for one in history.asked.values():
        findings += _judge_runs_by_itself(one, most)
        if one.cancelled and not reruns:  # the host may have died in between
            findings += await _judge_cancel(one, storage)
    for actor_id in dict.fromkeys(actor_id for actor_id, _ in history.asked):
        asked = list(history.of_actor(actor_id))
        turns = await storage.read_turns(actor_id, limit=100_000)
        values = (await storage.read_state(actor_id)).values
        log: list[str] = json.loads(values.get("log", b"[]"))
        findings += judge_actor(actor_id, asked, turns, log, reruns=reruns)
        findings += _judge_patience(history, asked, turns)
        findings += await _judge_tells(asked, turns, storage)
    return findings


def judge_actor(
    actor_id: ActorId,
    asked: list[Asked],
    turns: list[TurnRecord],
    log: list[str],
    *,
    reruns: bool,
) -> Iterator[Finding]:
    """Every promise that was broken to one actor's senders."""
    stored = {turn.message_id: turn for turn in turns}
    for turn in turns:
        if turn.message_id not in {one.message_id for one in asked}:
            yield Finding("unknown", f"{actor_id}: {turn.message_id} was never sent")
    for one in asked:
        yield from _judge_request(one, stored.get(one.message_id))
    # What somebody tried to end just before a crash may run again, late.
    orderly = [
        one
        for one in asked
        if one.is_certain and not (reruns and (one.cut or one.timeout))
    ]
    yield from _judge_acceptance(asked, stored)
    yield from _judge_runs(asked, orderly, stored)
    yield from _judge_state(actor_id, orderly, turns, log)


# --- P2, P3, P5, P7: each request


def _judge_request(asked: Asked, turn: TurnRecord | None) -> Iterator[Finding]:
    if turn is None:
        if asked.acknowledged is not None or asked.answers:
            yield Finding("lost", f"{asked} was acknowledged and is not stored")
        return
    if not turn.status.is_final:
        yield Finding("open", f"{asked} has no final status")
    if _params(turn) != json.loads(json.dumps(asked.params)):
        yield Finding("changed", f"{asked} is stored as {turn.body!r}")
    answers = [*asked.answers, _stored_answer(turn)]
    different = {json.dumps(answer, sort_keys=True) for answer in answers}
    if len(different) > 1:
        yield Finding("two answers", f"{asked}: {sorted(different)}")
    yield from _judge_attempts(asked, turn)


def _params(turn: TurnRecord) -> Any:
    return decode_body(turn.body or b"null")[1]


def _stored_answer(turn: TurnRecord) -> Answer:
    return Answer(turn.status, json.loads(turn.result or b"null"))


def _judge_attempts(asked: Asked, turn: TurnRecord) -> Iterator[Finding]:
    if turn.attempts < len(asked.runs):
        text = f"{asked} ran {len(asked.runs)} times, {turn.attempts} are counted"
        yield Finding("not counted", text)
    if turn.status is RequestStatus.COMPLETED and not asked.runs:
        yield Finding("never ran", f"{asked} is COMPLETED and never ran")


def _judge_runs_by_itself(asked: Asked, most: int) -> Iterator[Finding]:
    hosts = [run.host for run in asked.runs]
    if len(hosts) > most:
        yield Finding("ran by itself", f"{asked} ran on {', '.join(hosts)}")
    unasked = set(hosts) - {call.host for call in asked.calls}
    if asked.told_by is None and unasked and most == 1:
        yield Finding("ran by itself", f"{asked} ran on {unasked}, never asked to")


async def _judge_cancel(asked: Asked, storage: IActorStateStorage) -> list[Finding]:
    turn = await storage.find_turn(asked.actor_id, asked.message_id)
    if turn is None or turn.status is not RequestStatus.COMPLETED:
        return []
    return [Finding("cancelled", f"{asked} was cancelled, they said, and COMPLETED")]


# --- P1: order


def _judge_acceptance(
    asked: list[Asked], stored: dict[str, TurnRecord]
) -> Iterator[Finding]:
    certain = [one for one in asked if one.is_certain and one.message_id in stored]
    for one, other in combinations(certain, 2):
        first, second = sorted((one, other), key=lambda each: each.calls[0].moment)
        before, after = first.calls[0], second.calls[0]
        waited = before.acknowledged is not None and before.acknowledged < after.moment
        in_order = waited or before.caller == after.caller
        positions = (
            stored[first.message_id].position,
            stored[second.message_id].position,
        )
        if in_order and positions[0] > positions[1]:
            yield Finding("order", f"{first} was sent before {second}: {positions}")


def _judge_runs(
    asked: list[Asked], orderly: list[Asked], stored: dict[str, TurnRecord]
) -> Iterator[Finding]:
    for host in {run.host for one in asked for run in one.runs}:
        runs = _runs_on(host, asked)
        for (one, run), (other, later) in pairwise(runs):
            overlap = min(run.until, later.until) - later.at
            if overlap > 1e-6 and not _is_stubborn(one):
                yield Finding("overlap", f"{one} and {other} ran at once on {host}")
        known = [one for one, _ in runs if one in orderly and one.message_id in stored]
        for one, other in pairwise(known):
            if stored[one.message_id].position > stored[other.message_id].position:
                yield Finding("order", f"{one} ran before {other} on {host}")


def _runs_on(host: str, asked: Iterable[Asked]) -> list[Any]:
    runs = [(one, run) for one in asked for run in one.runs if run.host == host]
    return sorted(runs, key=lambda pair: pair[1].number)


def _is_stubborn(asked: Asked) -> bool:
    return any(word == "stubborn" for word, _ in asked.params["steps"])


# --- P7: nobody waits for an actor that does nothing


def _judge_patience(
    history: History, asked: list[Asked], turns: list[TurnRecord]
) -> Iterator[Finding]:
    ended = {turn.message_id: (turn.ended_at or 0.0) - EPOCH for turn in turns}
    for one in asked:
        if not one.calls:
            continue
        call = one.calls[0]
        until = history.calm.get(call.host)
        if (
            until is None
            or one.lost
            or one.is_letter
            or call.acknowledged is None
            or one.message_id not in ended
        ):
            continue
        end = min([until, ended[one.message_id], *(run.at for run in one.runs)])
        runs = [run for other in asked for run in other.runs]
        runs.sort(key=lambda run: run.number)
        idle = _longest_idle(call.acknowledged_at, end, runs)
        if idle > _PATIENCE:
            text = f"{one} waited {idle} s for an actor that did nothing"
            yield Finding("starved", text)


def _longest_idle(start: float, end: float, runs: list[Run]) -> float:
    """The longest time between start and end in which nothing ran, in seconds."""
    longest, idle_since = 0.0, start
    for run in runs:
        if run.until < start or run.at > end:
            continue
        longest = max(longest, run.at - idle_since)
        idle_since = max(idle_since, run.until)
    return max(longest, end - idle_since)


# --- P4, P6: state


def _judge_state(
    actor_id: ActorId, orderly: list[Asked], turns: list[TurnRecord], log: list[str]
) -> Iterator[Finding]:
    committed = [turn for turn in turns if _count(turn) is not None]
    names = [turn.message_id for turn in committed]
    if sorted(log) != sorted(names):
        yield Finding("state", f"{actor_id}: state {log}, committed {names}")
    counts = sorted(_count(turn) or 0 for turn in committed)
    if counts != list(range(1, len(committed) + 1)):
        yield Finding("state", f"{actor_id} counted {counts}")
    certain = {one.message_id for one in orderly}
    if [name for name in log if name in certain] != [n for n in names if n in certain]:
        yield Finding("order", f"{actor_id} committed {log}, accepted {names}")
    for turn in turns:
        entries = json.loads(turn.entries or b"[]")
        expected = [] if _count(turn) is None else [turn.message_id]
        if entries != expected:
            yield Finding("state", f"{actor_id} {turn.message_id}: entries {entries}")


def _count(turn: TurnRecord) -> int | None:
    return _data(turn).get("count")


def _data(turn: TurnRecord) -> dict[str, Any]:
    data: Any = json.loads(turn.result or b"null")
    return cast("dict[str, Any]", data) if isinstance(data, dict) else {}


async def _judge_tells(
    asked: list[Asked], turns: list[TurnRecord], storage: IActorStateStorage
) -> list[Finding]:
    """What a committed turn told has arrived, what any other turn told has not."""
    findings: list[Finding] = []
    for turn in turns:
        for instance_id, message_id in _data(turn).get("told", []):
            target = ActorId("worker", instance_id)
            if await storage.find_turn(target, message_id) is None:
                text = f"{turn.message_id} told {target} {message_id}, which is lost"
                findings.append(Finding("untold", text))
    for one in asked:
        if one.told_by is None:
            continue
        teller = await storage.find_turn(one.told_by.actor_id, one.told_by.message_id)
        told: list[list[str]] = [] if teller is None else _data(teller).get("told", [])
        arrived = await storage.find_turn(one.actor_id, one.message_id)
        if arrived and [one.actor_id.instance_id, one.message_id] not in told:
            text = f"{one} was told by {one.told_by}, which did not commit that"
            findings.append(Finding("untold", text))
    return findings
