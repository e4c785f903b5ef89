"""A conversation as the chat panel shows it, made from the waists' values.

Starts from an `ActorView` and follows `TurnUpdate`s, which may repeat around the start
and are therefore applied by message id. What streams in is provisional: when a turn
ends, its items are made anew from what was stored, and sent whole if they differ.
"""

import copy
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from agent_runtime_nb._base.untrusted_json import as_list, as_object
from agent_runtime_nb.conversations.entries import RETRY_OF, turn_entries
from agent_runtime_nb.runtime_abstractions import (
    RequestStatus,
    TurnUpdate,
    TurnView,
)
from agent_runtime_nb.runtime_directory import (
    ActorView,
)
from agent_runtime_nb.widgets.channel import Change
from agent_runtime_nb.widgets.chat_panel.contents import Decision, decision_of
from agent_runtime_nb.widgets.chat_panel.turn import Clock, Emit, ShownTurn, no_clock

_LOST = "Some of what streamed was missed; the whole answer appears when it is done."


class Transcript:
    """The newest turns of a conversation.

    Args:
        keep: how many turns a front end starts with; older ones come in pages.
        clock: POSIX seconds.
    """

    def __init__(self, keep: int = 50, clock: Callable[[], float] = time.time) -> None:
        self._keep = keep
        self._clock = clock
        self._turns: dict[str, ShownTurn] = {}
        self._calls: dict[str, Mapping[str, Any]] = {}
        self._more = False
        self._discarded: frozenset[str] = frozenset()
        self._since: float | None = None
        self._restored_until: int | None = None
        self.loaded = False
        """Whether it is known which turns there are."""

    def __len__(self) -> int:
        return len(self._turns)

    def load(self, view: ActorView, since: float | None = None) -> None:
        """Start anew from what the directory says.

        Args:
            view: the newest turns.
            since: POSIX seconds; turns that were accepted before are restored ones.
        """
        before, self._turns, self._calls = self._turns, {}, {}
        self._more, self.loaded = view.more, True
        self._since, self._restored_until = since, None
        if view.info is not None:
            self._discarded = frozenset(view.info.discarded)
        free_at = 0.0  # POSIX seconds when the actor had ended all turns so far
        for ended in view.turns:
            free_at = self._add_ended(ended, free_at)
        for open_turn in filter(None, (view.running, *view.waiting)):
            # When that happened which has streamed already, nobody knows here.
            clock = no_clock if open_turn is view.running else self._clock
            turn = self._begin(open_turn.message_id, open_turn.position, clock)
            _add_request(turn, open_turn.method, open_turn.params, _nobody)
            self._mark_answers(open_turn.params, _nobody)
            turn.facts.update(_retry_of(open_turn.metadata))
            turn.facts["started_at"] = max(open_turn.accepted_at.timestamp(), free_at)
        if view.running is not None:
            running = self._turns[view.running.message_id]
            running.began = True
            self._resume(running, view)
        for turn in self._turns.values():
            if turn.message_id in before:
                _keep_what_was_seen(turn, before[turn.message_id])

    def page(self, view: ActorView) -> Change:
        """Earlier turns as JSON; they are not kept here."""
        earlier = Transcript(len(view.turns), self._clock)
        earlier._discarded = self._discarded
        earlier.load(view, self._since)
        return earlier.to_json()

    def to_json(self) -> Change:
        """The turns, oldest first, and what is said of all of them; shares nothing.

        `more`: there are turns before the first. `restored`: some are of an earlier
        process, up to the position `restored_until`.
        """
        return {
            "turns": [turn.to_json() for turn in self._turns.values()],
            "more": self._more,
            "restored": self._restored_until is not None,
            "restored_until": self._restored_until,
        }

    def __contains__(self, message_id: str) -> bool:
        return message_id in self._turns

    def agrees_with(self, view: ActorView) -> bool:
        """Whether a view of some of the newest turns is what is known.

        It is not if they are others, as after a deletion, or others are discarded.
        """
        known = [one for one in self._turns.values() if "ended_at" in one.facts]
        known.sort(key=lambda turn: turn.position)
        count = len(view.turns) if view.more else len(known)
        newest = [turn.message_id for turn in known[len(known) - count :]]
        same = newest == [turn.message_id for turn in view.turns]
        info = view.info
        return same and (info is None or self._discarded == frozenset(info.discarded))

    def turn(self, message_id: str) -> ShownTurn | None:
        """The turn of a request, if it is among the newest."""
        return self._turns.get(message_id)

    def apply(self, update: TurnUpdate, emit: Emit) -> None:
        """Take one thing that happened and emit what changes."""
        turn = self._turns.get(update.message_id)
        if update.kind == "accepted":
            if turn is None:
                self._accept(update, emit)
            return
        if turn is None:
            turn = self._begin(update.message_id, update.cursor.turn, self._clock)
            emit({"op": "turn", "turn": turn.to_json()})
        if "ended_at" in turn.facts:
            return  # it has ended: this repeats what is known
        turn.began = turn.began or update.kind in ("started", "progress", "lost")
        if update.kind == "started":
            self.set(turn, emit, status="running", started_at=self._free_since(turn))
        elif update.kind == "progress":
            turn.add_progress(update.data, emit)
        elif update.kind == "lost":
            turn.add_notice("warning", _LOST, emit)
        else:
            self._end(turn, update.data, emit)

    def set(self, turn: ShownTurn, emit: Emit, **facts: Any) -> None:
        """Change what is known about a turn."""
        turn.facts.update(facts)
        emit({"op": "patch", "id": turn.message_id, "set": facts})

    def discard(self, message_id: str, emit: Emit) -> None:
        """Mark a turn as one that the model does not see any more."""
        self._discarded |= {message_id}
        if (turn := self._turns.get(message_id)) is not None:
            turn.facts["discarded"] = True
        # A page may show it, though it is not among the newest.
        emit({"op": "patch", "id": message_id, "set": {"discarded": True}})

    def answer(
        self, request_id: str, decision: Decision | None, reason: str | None, emit: Emit
    ) -> None:
        """Mark an approval request as answered, wherever it is."""
        for turn in self._turns.values():
            if turn.answer(request_id, decision, reason, emit):
                return

    def _begin(
        self, message_id: str, position: int, clock: Clock = no_clock
    ) -> ShownTurn:
        turn = ShownTurn(message_id, position, self._calls, clock)
        turn.facts["discarded"] = message_id in self._discarded
        self._turns[message_id] = turn
        return turn

    def _add_ended(self, view: TurnView, free_at: float) -> float:
        """Add a turn; takes and returns when the actor was free for another one.

        A turn that had to wait for others began when the last of them had ended.
        """
        turn = self._begin(view.message_id, view.position)
        entries = turn_entries(view) if view.method == "run" else []
        for entry in entries:
            turn.add_entry(entry, _nobody)
            self._mark_answers({"messages": [entry]}, _nobody)
        if not entries:
            _add_request(turn, view.method, view.params, _nobody)
            _add_result(turn, view.data, _nobody)
        ended_at = (view.ended_at or view.accepted_at).timestamp()
        started_at = max(view.accepted_at.timestamp(), free_at)
        turn.facts.update(_outcome(view.status, view.data, began=view.attempts > 0))
        turn.facts.update(_retry_of(view.metadata))
        turn.facts["started_at"], turn.facts["ended_at"] = started_at, ended_at
        turn.facts["duration"] = max(0.0, ended_at - started_at)
        if self._since is not None and view.accepted_at.timestamp() < self._since:
            self._restored_until = view.position
        if view.method == "run":
            _add_notices(turn, view.data, _nobody)
        return max(free_at, ended_at)

    def _resume(self, turn: ShownTurn, view: ActorView) -> None:
        """Show what a running turn has said that the watch will not say again."""
        turn.facts["status"] = "running"
        running, cursor = view.running, view.cursor
        if running is None or (cursor.turn, cursor.sequence) <= (running.position, 0):
            return
        for entry in as_list(as_object(running.checkpoint).get("messages")):
            if as_object(entry).get("role") != "user":
                turn.add_entry(as_object(entry), _nobody)

    def _accept(self, update: TurnUpdate, emit: Emit) -> None:
        request = as_object(update.data)
        turn = self._begin(update.message_id, update.cursor.turn, self._clock)
        params = request.get("params")
        _add_request(turn, request.get("method", ""), params, _nobody)
        turn.facts.update(_retry_of(as_object(request.get("metadata"))))
        turn.facts["started_at"] = float(request.get("accepted_at") or self._clock())
        emit({"op": "turn", "turn": turn.to_json()})
        self._mark_answers(params, emit)
        self._trim()

    def _free_since(self, turn: ShownTurn) -> float:
        """When the actor had accepted the turn and ended the ones before it.

        So a turn took as long in every view, and in one that reads it later.
        """
        ends = [one.facts.get("ended_at", 0.0) for one in self._turns.values()]
        return max(turn.facts.get("started_at", self._clock()), *ends)

    def _end(self, turn: ShownTurn, data: Any, emit: Emit) -> None:
        ended = as_object(data)
        result = ended.get("data")
        now = float(ended.get("ended_at") or self._clock())
        turn.finish(emit)
        facts = _outcome(ended.get("status", "completed"), result, began=turn.began)
        facts |= {"ended_at": now, "stop": None, "stop_detail": None}
        facts["duration"] = max(0.0, now - turn.facts.get("started_at", now))
        turn.facts.update(facts)
        stored = self._as_stored(turn, result)
        if stored is None or _without_notices(stored) == _without_notices(turn):
            emit({"op": "patch", "id": turn.message_id, "set": facts})
            _add_notices(turn, result, emit)
            return
        _add_notices(stored, result, _nobody)
        self._turns[turn.message_id] = stored
        emit({"op": "turn", "turn": stored.to_json()})

    def _as_stored(self, turn: ShownTurn, result: Any) -> ShownTurn | None:
        """The turn from its response, if that tells the messages."""
        stored = ShownTurn(turn.message_id, turn.position, self._calls)
        stored.facts = turn.facts
        for item in turn.items:
            if item["kind"] != "user":
                break
            stored.items.append(item)
        answer = as_object(result)
        if "messages" in answer:
            for entry in as_list(answer["messages"]):
                stored.add_entry(as_object(entry), _nobody)
        elif "error" in turn.facts:
            return None
        else:
            stored.items = copy.deepcopy(turn.items)
            _add_result(stored, result, _nobody)
        stored.take_times(turn)
        return stored

    def _mark_answers(self, params: Any, emit: Emit) -> None:
        """Mark the approval requests that a request answers."""
        for message in as_list(as_object(params).get("messages")):
            for part in map(as_object, as_list(as_object(message).get("contents"))):
                if part.get("type") == "function_approval_response":
                    self.answer(str(part.get("id")), *decision_of(part), emit)

    def _trim(self) -> None:
        """Forget old turns: a front end keeps what it has, a new one asks for more.

        Not from one on that is still to come: no page would have it.
        """
        for turn in list(self._turns.values())[: -self._keep]:
            if "ended_at" not in turn.facts:
                return
            del self._turns[turn.message_id]
            self._more = True


def _keep_what_was_seen(turn: ShownTurn, before: ShownTurn) -> None:
    """Take over what no store knows: times, and what was said about stopping."""
    turn.take_times(before)
    if before.facts["stop"] is not None and turn.facts["status"] == "running":
        kept = ("status", "stop", "stop_detail")
        turn.facts.update({key: before.facts.get(key) for key in kept})


def _nobody(_change: Change) -> None:
    """For changes that are emitted as part of something larger."""


def _add_request(turn: ShownTurn, method: str, params: Any, emit: Emit) -> None:
    request = as_object(params)
    if method == "run" and "messages" in request:
        for message in as_list(request["messages"]):
            turn.add_entry(as_object(message), emit)
    else:
        call = json.dumps(params, ensure_ascii=False)
        turn.add_entry({"role": "user", "content": f"{method}({call})"}, emit)


def _add_result(turn: ShownTurn, data: Any, emit: Emit) -> None:
    if data is not None and "error" not in _outcome("", data):
        turn.add_value(data, emit)


def _add_notices(turn: ShownTurn, data: Any, emit: Emit) -> None:
    """Add the notices of an agent's response, except for those that streamed in."""
    answer = as_object(data)
    if "messages" not in answer and "error" not in answer:
        return
    shown = [(item["level"], item["text"]) for item in turn.items if _is_notice(item)]
    for notice in map(as_object, as_list(answer.get("notices"))):
        level, text = str(notice.get("level", "info")), str(notice.get("text", ""))
        if (level, text) in shown:
            shown.remove((level, text))
        else:
            turn.add_notice(level, text, emit)


def _retry_of(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {"retry_of": metadata[RETRY_OF]} if RETRY_OF in metadata else {}


def _outcome(status: str, data: Any, *, began: bool = True) -> dict[str, Any]:
    facts: dict[str, Any] = {"status": str(status)}
    if not began and status in (RequestStatus.INTERRUPTED, RequestStatus.CANCELLED):
        facts["began"] = False
    for key in ("error", "usage"):
        if value := as_object(as_object(data).get(key)):
            facts[key] = value
    return facts


def _without_notices(turn: ShownTurn) -> list[dict[str, Any]]:
    return [item for item in turn.items if not _is_notice(item)]


def _is_notice(item: Mapping[str, Any]) -> bool:
    return item["kind"] == "notice"
