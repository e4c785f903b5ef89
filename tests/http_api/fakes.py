"""A client and a directory that answer what a test tells them to."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorResponseHandle,
    ActorResponseMessage,
    Cursor,
    IActorClient,
    JsonValue,
    Page,
    RequestStatus,
    TurnUpdate,
    WhenBusy,
)
from agent_runtime_nb.runtime_directory import (
    ActorSummary,
    ActorTypeInfo,
    ActorView,
    Health,
)
from agent_runtime_nb.runtime_events import RuntimeEvent
from tests.http_api.no_directory import NoDirectory

ANSWER = {
    "messages": [
        {
            "role": "assistant",
            "message_id": "m-1",
            "contents": [{"type": "text", "text": "hi"}],
            "content": "hi",
        }
    ],
    "usage": {"total_token_count": 3},
}


@dataclass
class Sent:
    """What `send_request` was called with."""

    actor_id: ActorId
    params: JsonValue
    message_id: str | None
    when_busy: str
    timeout: float | None


@dataclass
class FakeClient(IActorClient):
    """Answers every request with `status` and `data`, after `updates` updates.

    `error` is raised by `send_request`, `later` by the handle. While `gate` is given
    and not set, no answer comes. `endless` updates never stop.
    """

    status: RequestStatus = RequestStatus.COMPLETED
    data: JsonValue = field(default_factory=lambda: ANSWER)
    updates: int = 0
    error: Exception | None = None
    later: Exception | None = None
    gate: asyncio.Event | None = None
    endless: bool = False
    sent: list[Sent] = field(default_factory=list[Sent])
    cancelled: list[tuple[ActorId, str]] = field(
        default_factory=list[tuple[ActorId, str]]
    )
    watched_after: list[int | None] = field(default_factory=list[int | None])

    async def send_request(
        self,
        actor_id: ActorId,
        method: str,
        params: JsonValue = None,
        message_id: str | None = None,
        *,
        when_busy: WhenBusy = "queue",
        timeout: float | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> ActorResponseHandle:
        assert method == "run"
        if self.error is not None:
            raise self.error
        self.sent.append(Sent(actor_id, params, message_id, when_busy, timeout))
        return FakeHandle(self, actor_id, message_id or "made-1")

    async def get_response(
        self, actor_id: ActorId, message_id: str
    ) -> ActorResponseHandle:
        return FakeHandle(self, actor_id, message_id)

    async def cancel(self, actor_id: ActorId, message_id: str) -> bool:
        self.cancelled.append((actor_id, message_id))
        return True

    def watch_actor(
        self, actor_id: ActorId, after: Cursor | None = None
    ) -> AsyncIterator[TurnUpdate]:
        raise NotImplementedError


class FakeHandle(ActorResponseHandle):
    def __init__(self, client: FakeClient, actor_id: ActorId, message_id: str) -> None:
        self._client = client
        self.actor_id = actor_id
        self.message_id = message_id

    def _message(self, status: RequestStatus, data: JsonValue) -> ActorResponseMessage:
        return ActorResponseMessage(
            message_id=self.message_id,
            sender_id=self.actor_id,
            status=status,
            data=data,
        )

    async def get_response(self) -> ActorResponseMessage:
        if self._client.gate is not None:
            await self._client.gate.wait()
        if self._client.later is not None:
            raise self._client.later
        return self._message(self._client.status, self._client.data)

    async def watch_updates(
        self, after: int | None = None
    ) -> AsyncIterator[ActorResponseMessage]:
        self._client.watched_after.append(after)
        number = -1 if after is None else after
        while self._client.endless or number < self._client.updates - 1:
            number += 1
            data = {"sequence": number, "progress": {"text": "x" * 1000}}
            yield self._message(RequestStatus.PENDING, data)
        yield await self.get_response()

    async def cancel(self) -> bool:
        return await self._client.cancel(self.actor_id, self.message_id)


@dataclass
class FakeDirectory(NoDirectory):
    """Knows `types`; `blocked`: never answers about health."""

    types: tuple[ActorTypeInfo, ...] = (
        ActorTypeInfo("echo", "Says it again"),
        ActorTypeInfo("mock-ai"),
    )
    state: Health = field(
        default_factory=lambda: Health("ok", "memory", 0.01, 2, 1, 0, "fine")
    )
    blocked: bool = False
    error: Exception | None = None
    view: ActorView | None = None

    async def actor_types(self) -> tuple[ActorTypeInfo, ...]:
        if self.error is not None:
            raise self.error
        return self.types

    async def list_actors(
        self,
        type_name: str | None = None,
        *,
        after: str | None = None,
        limit: int = 200,
    ) -> Page[ActorSummary]:
        raise NotImplementedError

    async def read_actor(
        self, actor_id: ActorId, *, before: int | None = None, limit: int = 50
    ) -> ActorView:
        return self.view or ActorView(actor_id, (), None, (), Cursor(0, 0), more=False)

    async def delete_actor(self, actor_id: ActorId) -> bool:
        raise NotImplementedError

    async def health(self) -> Health:
        if self.blocked:
            await asyncio.Event().wait()
        return self.state

    def watch_events(self) -> AsyncIterator[tuple[RuntimeEvent, ...]]:
        raise NotImplementedError
