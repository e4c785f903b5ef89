"""What the dashboard knows about actors: rows, made from summaries and events."""

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from agent_runtime_nb._base.untrusted_json import as_list, as_object
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
)
from agent_runtime_nb.runtime_directory import (
    ActorSummary,
)
from agent_runtime_nb.runtime_events import (
    ActorActivated,
    ActorDeleted,
    ActorPassivated,
    ActorQuarantineBegan,
    ActorRestarted,
    ActorRevived,
    RequestAccepted,
    RuntimeEvent,
    TurnEnded,
    TurnProgressed,
    TurnStarted,
)

_TAIL = 90
_LATENCIES = 20


@dataclass(slots=True)
class Row:
    """One actor; `since` is POSIX seconds, latencies are seconds."""

    actor_id: ActorId
    activity: str = "idle"
    turns: int | None = None
    waiting: int = 0
    message_id: str | None = None
    doing: str = ""
    since: float | None = None
    last_status: str | None = None
    error_type: str | None = None
    latencies: deque[float] = field(
        default_factory=lambda: deque[float](maxlen=_LATENCIES)
    )

    def to_json(self) -> dict[str, Any]:
        """The row for the front end."""
        return {
            "id": str(self.actor_id),
            "type": self.actor_id.type_name,
            "conversation": self.actor_id.instance_id,
            "activity": self.activity,
            "turns": self.turns,
            "waiting": self.waiting,
            "doing": " ".join(self.doing.split())[-_TAIL:],
            "since": self.since,
            "last_status": self.last_status,
            "error_type": self.error_type,
            "latencies": [round(seconds, 3) for seconds in self.latencies],
        }


class Board:
    """The rows of the first `limit` actors; the others are counted."""

    def __init__(self, limit: int = 200) -> None:
        self._limit = limit
        self._rows: dict[ActorId, Row] = {}
        self._others: set[ActorId] = set()
        self._dirty: set[ActorId] = set()

    @property
    def hidden(self) -> int:
        """How many actors have no row."""
        return len(self._others)

    def load(self, summaries: Iterable[ActorSummary]) -> None:
        """Take what the directory says; latencies seen before are kept."""
        for summary in summaries:
            row = self._row(summary.actor_id)
            if row is None:
                continue
            row.activity = str(summary.activity)
            row.turns = summary.turns
            row.waiting = summary.waiting
            row.message_id = summary.message_id
            row.since = None
            if summary.running_for is not None:
                row.since = time.time() - summary.running_for
            if summary.last_status is not None:
                row.last_status = str(summary.last_status)
            if summary.last_latency is not None and not row.latencies:
                row.latencies.append(summary.last_latency)

    def apply(self, event: RuntimeEvent) -> None:
        """Take one thing that happened."""
        actor_id = ActorId(event.type_name, event.instance_id)
        if isinstance(event, ActorDeleted):
            self._rows.pop(actor_id, None)
            self._others.discard(actor_id)
            self._dirty.add(actor_id)
            return
        row = self._row(actor_id)
        if row is not None:
            self._dirty.add(actor_id)
            _apply(row, event)

    def take_changes(self) -> tuple[list[dict[str, Any]], list[str]]:
        """The rows that changed and the ids that went since the last call."""
        dirty, self._dirty = self._dirty, set()
        rows = [self._rows[key].to_json() for key in dirty if key in self._rows]
        return rows, [str(key) for key in dirty if key not in self._rows]

    def to_json(self) -> list[dict[str, Any]]:
        """All rows, in the order of their ids."""
        return [self._rows[actor_id].to_json() for actor_id in sorted(self._rows)]

    def _row(self, actor_id: ActorId) -> Row | None:
        row = self._rows.get(actor_id)
        if row is None and len(self._rows) < self._limit:
            self._others.discard(actor_id)
            row = self._rows[actor_id] = Row(actor_id)
            self._dirty.add(actor_id)
        elif row is None:
            self._others.add(actor_id)
        return row


def _apply(row: Row, event: RuntimeEvent) -> None:
    match event:
        case RequestAccepted():
            row.waiting = event.waiting
            row.turns = max(row.turns or 0, event.position)
            if row.activity != "running":
                row.activity = "waiting"
        case TurnStarted():
            row.activity, row.waiting = "running", event.waiting
            row.message_id, row.since, row.doing = event.message_id, event.at, ""
            row.turns = max(row.turns or 0, event.position)
        case TurnProgressed():
            row.doing = _doing(row.doing, event.data)
        case TurnEnded():
            _end(row, event)
        case _:
            _apply_to_object(row, event)


def _apply_to_object(row: Row, event: RuntimeEvent) -> None:
    match event:
        case ActorActivated():
            if row.activity == "stored":
                row.activity = "idle"
        case ActorRestarted():
            row.error_type = event.error_type
        case ActorQuarantineBegan():
            row.activity, row.error_type = "quarantined", event.error_type
        case ActorPassivated() | ActorRevived():
            row.activity = "stored"
        case _:
            pass


def _end(row: Row, event: TurnEnded) -> None:
    row.waiting = event.waiting
    row.last_status, row.error_type = event.status, event.error_type
    if event.message_id == row.message_id or row.activity != "running":
        row.activity = "waiting" if event.waiting else "idle"
        row.message_id, row.since, row.doing = None, None, ""
    if event.duration is not None:
        row.latencies.append(event.duration)


def _doing(before: str, progress: Any) -> str:
    """What an actor does, in a few words, after one more piece of progress."""
    update = as_object(progress)
    if not update:
        return str(progress)[:_TAIL]
    if update.get("type") == "notice":
        return str(update.get("text", ""))
    for part in map(as_object, as_list(update.get("contents"))):
        match part.get("type"):
            case "text":
                text = str(part.get("text") or "")
                begun = before if not before.startswith(_MARKS) else ""
                before = (begun + text)[-4 * _TAIL :]
            case "text_reasoning":
                before = "thinking…"
            case "function_call" if part.get("name"):
                before = f"⚙ {part['name']}"
            case "function_approval_request":
                before = "asks for approval"
            case _:
                pass
    return before


_MARKS = ("thinking…", "⚙ ", "asks for approval")
