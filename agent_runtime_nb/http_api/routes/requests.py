"""What became of a request, its events again, and what can be done about it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request, Response

from agent_runtime_nb.exceptions import AgentRuntimeError, RequestNotFound
from agent_runtime_nb.http_api.delivery import (
    LastEventId,
    accepted_response,
    stream_response,
)
from agent_runtime_nb.http_api.lookup import find_actor
from agent_runtime_nb.http_api.routes.runs import RUN_RESPONSES
from agent_runtime_nb.http_api.schemas import (
    CancelResult,
    DiscardResult,
    RunResponse,
    WithdrawResult,
)
from agent_runtime_nb.http_api.sse import EventStream, StreamSlots
from agent_runtime_nb.http_api.turn_response import (
    final_response,
    json_response,
    pending_response,
)
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorResponseHandle,
    ActorResponseMessage,
    IActorClient,
    RequestStatus,
)
from agent_runtime_nb.runtime_directory import RuntimeDirectory

_STATE_TIMEOUT = 5.0
"""Seconds after which a request that was just accepted is reported as it is: open."""


def request_routes(
    client: IActorClient, directory: RuntimeDirectory, slots: StreamSlots
) -> APIRouter:
    """The routes of this module."""
    routes, handlers = APIRouter(), _RequestRoutes(client, directory, slots)
    one = (
        "/agents/{agent_name}/conversations/{conversation_id:path}"
        "/requests/{message_id:path}"
    )
    events: dict[int | str, dict[str, Any]] = {
        200: {"content": {EventStream.media_type: {}}},
        204: RUN_RESPONSES[204],
    }
    routes.add_api_route(
        one + "/events", handlers.events, response_class=Response, responses=events
    )
    routes.add_api_route(one, handlers.read, response_model=RunResponse)
    for name, verb, model in (
        ("cancel", handlers.cancel, CancelResult),
        ("withdraw", handlers.withdraw, WithdrawResult),
        ("discard", handlers.discard, DiscardResult),
    ):
        routes.add_api_route(
            f"{one}/{name}", verb, methods=["POST"], response_model=model
        )
    for name, verb in (
        ("run-again", handlers.run_again),
        ("requeue", handlers.requeue),
    ):
        routes.add_api_route(
            f"{one}/{name}",
            verb,
            methods=["POST"],
            status_code=202,
            response_model=RunResponse,
        )
    return routes


class _RequestRoutes:
    def __init__(
        self, client: IActorClient, directory: RuntimeDirectory, slots: StreamSlots
    ) -> None:
        self._client = client
        self._directory = directory
        self._slots = slots

    async def _find(self, agent_name: str, conversation_id: str) -> ActorId:
        return await find_actor(self._directory, agent_name, conversation_id)

    async def read(
        self, agent_name: str, conversation_id: str, message_id: str
    ) -> Response:
        """A request as it stands: `pending`, or its final answer."""
        actor_id = await self._find(agent_name, conversation_id)
        handle = await self._client.get_response(actor_id, message_id)
        message = await self._ended(handle)
        return (
            pending_response(handle)
            if message is None
            else final_response(handle, message)
        )

    async def _ended(self, handle: ActorResponseHandle) -> ActorResponseMessage | None:
        """The final answer of a request; None if it is open."""
        view = await self._directory.read_actor(handle.actor_id, limit=1)
        still_open = {turn.message_id for turn in (view.running, *view.waiting) if turn}
        if handle.message_id in still_open:
            return None
        try:
            async with asyncio.timeout(_STATE_TIMEOUT):
                return await handle.get_response()
        except AgentRuntimeError:  # some are TimeoutErrors, too
            raise
        except TimeoutError:  # accepted just after the actor was read
            return None

    async def events(
        self,
        agent_name: str,
        conversation_id: str,
        message_id: str,
        last_event_id: LastEventId = None,
    ) -> Response:
        """The events of a request, from the first that is kept, or after another.

        As the stream of `POST …/run`; works while it runs and after it has ended.
        """
        actor_id = await self._find(agent_name, conversation_id)

        async def found() -> ActorResponseHandle:
            handle = await self._client.get_response(actor_id, message_id)
            message = await self._ended(handle)
            if message is not None and message.status is RequestStatus.NOT_FOUND:
                raise RequestNotFound(actor_id, message_id)
            return handle

        return await stream_response(self._slots, found, last_event_id)

    async def cancel(
        self, agent_name: str, conversation_id: str, message_id: str
    ) -> Response:
        """Cancel a waiting or running request."""
        actor_id = await self._find(agent_name, conversation_id)
        return json_response(
            {"cancelled": await self._client.cancel(actor_id, message_id)}
        )

    async def withdraw(
        self, agent_name: str, conversation_id: str, message_id: str
    ) -> Response:
        """Cancel a request only if it still waits: the model will never see it."""
        actor_id = await self._find(agent_name, conversation_id)
        done = await self._directory.withdraw(actor_id, message_id)
        return json_response({"withdrawn": done})

    async def discard(
        self, agent_name: str, conversation_id: str, message_id: str
    ) -> Response:
        """Take a turn that did not complete out of what the model sees."""
        actor_id = await self._find(agent_name, conversation_id)
        done = await self._directory.discard(actor_id, message_id)
        return json_response({"discarded": done})

    async def run_again(
        self, request: Request, agent_name: str, conversation_id: str, message_id: str
    ) -> Response:
        """Send a request that has ended once more, in its place; once."""
        verb = self._directory.run_again
        return await self._again(request, agent_name, conversation_id, message_id, verb)

    async def requeue(
        self, request: Request, agent_name: str, conversation_id: str, message_id: str
    ) -> Response:
        """Send a dead letter once more."""
        verb = self._directory.requeue
        return await self._again(request, agent_name, conversation_id, message_id, verb)

    async def _again(
        self,
        request: Request,
        agent_name: str,
        conversation_id: str,
        message_id: str,
        verb: Callable[[ActorId, str], Awaitable[str]],
    ) -> Response:
        actor_id = await self._find(agent_name, conversation_id)
        new_id = await verb(actor_id, message_id)
        return accepted_response(
            request, await self._client.get_response(actor_id, new_id)
        )
