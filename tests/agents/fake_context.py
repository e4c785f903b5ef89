"""A runtime context without a runtime: one actor, its turns kept as JSON text.

It keeps what `IActorRuntimeContext` promises: a turn's entries, state and response are
stored together when it completes, or not at all.
"""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorRequestMessage,
    ActorResponseMessage,
    IActor,
    IActorRuntimeContext,
    JsonValue,
    RequestStatus,
    TurnView,
)


def copied(value: JsonValue) -> JsonValue:
    return json.loads(json.dumps(value, allow_nan=False))


@dataclass
class FakeStore:
    """What a storage keeps of one actor; `reads` counts the turns read."""

    state: dict[str, JsonValue] = field(default_factory=dict[str, Any])
    turns: list[TurnView] = field(default_factory=list[TurnView])
    reads: int = 0

    @property
    def entries(self) -> list[dict[str, Any]]:
        return [entry for turn in self.turns for entry in turn.entries]


@dataclass
class Outcome:
    """What the caller of a request sees."""

    response: ActorResponseMessage
    progress: list[Any]
    checkpoints: list[Any]

    @property
    def status(self) -> RequestStatus:
        return self.response.status

    @property
    def data(self) -> dict[str, Any]:
        return self.response.data

    @property
    def text(self) -> str:
        return "".join(message["content"] for message in self.data["messages"])

    @property
    def error(self) -> dict[str, Any]:
        return self.data["error"]

    @property
    def notices(self) -> list[dict[str, Any]]:
        return [item for item in self.progress if item["type"] == "notice"]


class FakeContext(IActorRuntimeContext):
    """One activation that is given requests and then runs the actor once."""

    def __init__(self, store: FakeStore, requests: Sequence[ActorRequestMessage]):
        self._store = store
        self._requests = list(requests)
        self._reason: str | None = None
        self._staged: dict[str, JsonValue] = {}
        self._entries: list[JsonValue] = []
        self.progress: list[Any] = []
        self.sequences: list[int] = []
        self.checkpoints: list[Any] = []
        self.outcomes: list[Outcome] = []
        self._running: ActorRequestMessage | None = None

    @property
    def actor_id(self) -> ActorId:
        return ActorId("agent", "c1")

    @property
    def cancel_reason(self) -> str | None:
        return self._reason

    def cancelling(self, reason: str) -> None:
        self._reason = reason

    async def watch_messages(self) -> AsyncIterator[ActorRequestMessage]:
        while self._requests:
            assert self._running is None
            self._running = self._requests.pop(0)
            self._reason = None
            self._staged, self._entries = {}, []
            self.progress, self.sequences, self.checkpoints = [], [], []
            yield self._running

    async def read_state(self, key: str, default: JsonValue = None) -> JsonValue:
        return copied({**self._store.state, **self._staged}.get(key, default))

    async def write_state(self, key: str, value: JsonValue) -> None:
        self._staged[key] = copied(value)

    async def remove_state(self, key: str) -> None:
        raise NotImplementedError

    def append_entries(self, entries: Sequence[JsonValue]) -> None:
        self._entries.extend(copied(list(entries)))

    async def read_turns(
        self, *, before: int | None = None, limit: int = 50
    ) -> list[TurnView]:
        turns = [
            turn
            for turn in self._store.turns
            if before is None or turn.position < before
        ]
        page = turns[-limit:]
        self._store.reads += len(page)
        return page

    def on_progress_update(
        self, message_id: str, sequence_number: int, data: JsonValue
    ) -> None:
        assert self._running is not None
        assert message_id == self._running.message_id
        assert not self.sequences or sequence_number > self.sequences[-1]
        self.sequences.append(sequence_number)
        self.progress.append(copied(data))

    async def checkpoint(self, message_id: str, data: JsonValue) -> None:
        self.checkpoints.append(copied(data))

    async def send_request(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError

    def tell(self, *_: Any, **__: Any) -> str:
        raise NotImplementedError

    def complete_request(self, message_id: str, response: ActorResponseMessage) -> None:
        request = self._running
        assert request is not None
        assert message_id == request.message_id
        self._running = None
        stored = replace(response, data=copied(response.data))
        self._store.state.update(self._staged)
        self._store.turns.append(
            turn_view(
                request,
                position=len(self._store.turns) + 1,
                status=response.status,
                entries=self._entries,
                data=stored.data,
            )
        )
        outcome = Outcome(stored, self.progress, self.checkpoints)
        self.outcomes.append(outcome)


def turn_view(
    request: ActorRequestMessage,
    *,
    position: int = 1,
    status: RequestStatus,
    entries: Sequence[JsonValue] = (),
    data: JsonValue = None,
    checkpoint: JsonValue = None,
    attempts: int = 1,
) -> TurnView:
    return TurnView(
        message_id=request.message_id,
        position=position,
        status=status,
        attempts=attempts,
        method=request.method,
        params=request.params,
        metadata=request.metadata,
        data=data,
        entries=list(entries),
        checkpoint=checkpoint,
        accepted_at=datetime.now(UTC),
        ended_at=datetime.now(UTC),
    )


def request(
    content: Any,
    message_id: str = "r1",
    *,
    metadata: Mapping[str, str] | None = None,
) -> ActorRequestMessage:
    """A "run" request with one message of the user."""
    return ActorRequestMessage(
        message_id=message_id,
        method="run",
        params={"messages": [{"role": "user", "content": content}]},
        metadata=metadata or {},
    )


async def ask(
    actor: IActor, store: FakeStore, *contents: Any, **metadata: str
) -> Outcome:
    """Send each content as a request of its own and give the last outcome."""
    first = len(store.turns) + 1
    requests = [
        request(content, f"r{number}", metadata=metadata)
        for number, content in enumerate(contents, first)
    ]
    context = FakeContext(store, requests)
    await actor.run(context)
    return context.outcomes[-1]
