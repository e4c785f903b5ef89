"""The same agents as models of OpenAI's API, for any client of that API.

    GET  /v1/models                 the agents
    POST /v1/responses              a turn of a conversation
    GET  /v1/responses/{id}         its answer, also later; POST …/cancel stops it
    POST /v1/chat/completions       a turn with the history that the caller holds

`model` is the agent's name. A response continues a conversation by its name
(`conversation`), or by `previous_response_id`; continuing from an earlier response than
the last one makes a branch. Chat completions are stateless: each call carries the whole
history and runs in a conversation of its own, which is deleted after the answer unless
`store` is true. With a header `X-Conversation-Id` it is a turn of that conversation
instead, and only the new messages of the history are sent.

Tools run here, with the agent: responses show them as calls of a server's tools
(`mcp_call`), completions do not show them. Settings that belong to the agent
(temperature, tools, ...) is ignored.
"""

import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from agent_runtime_nb.exceptions import (
    InvalidRequest,
    RequestNotFound,
    UnknownActorType,
)
from agent_runtime_nb.http_api.approvals import approval_requests
from agent_runtime_nb.http_api.lookup import find_actor
from agent_runtime_nb.http_api.openai.chat import (
    CompletionHead,
    chat_messages,
    completion,
    completion_chunks,
)
from agent_runtime_nb.http_api.openai.responses import (
    ResponseHead,
    approvals_in,
    input_messages,
    open_response,
    response_events,
    response_of,
)
from agent_runtime_nb.http_api.openai.schemas import (
    ChatRequest,
    ResponseId,
    ResponsesRequest,
    error_response,
)
from agent_runtime_nb.http_api.problems import problem_of
from agent_runtime_nb.http_api.schemas import MessageId
from agent_runtime_nb.http_api.sse import EventStream, StreamSlots
from agent_runtime_nb.http_api.turn_response import json_response
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorResponseHandle,
    IActorClient,
    JsonValue,
    RequestStatus,
)
from agent_runtime_nb.runtime_directory import RuntimeDirectory

_MESSAGE_ID = Annotated[MessageId | None, Header(alias="Idempotency-Key")]
_CONVERSATION = Annotated[str | None, Header(alias="X-Conversation-Id")]


class _OpenAIRoute(APIRoute):
    """Answers errors in OpenAI's shape."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # pyright: ignore[reportIncompatibleMethodOverride] - not annotated as a coroutine there
        handle = super().get_route_handler()

        async def handle_as_openai(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as error:
                first = error.errors()[0]
                field = ".".join(map(str, first["loc"][1:])) or "body"
                invalid = InvalidRequest(field, str(first["msg"]))
                return error_response(problem_of(invalid), invalid)
            except Exception as error:
                return error_response(problem_of(error), error)

        return handle_as_openai


def openai_routes(
    client: IActorClient, directory: RuntimeDirectory, slots: StreamSlots
) -> APIRouter:
    """The routes, over any client and any directory."""
    handlers = _OpenAIRoutes(client, directory, slots)
    routes = APIRouter(prefix="/v1", route_class=_OpenAIRoute, include_in_schema=False)
    routes.add_api_route("/models", handlers.list_models)
    routes.add_api_route("/models/{model}", handlers.read_model)
    routes.add_api_route("/responses", handlers.respond, methods=["POST"])
    routes.add_api_route("/responses/{response_id}", handlers.read_response)
    routes.add_api_route(
        "/responses/{response_id}/cancel", handlers.cancel_response, methods=["POST"]
    )
    routes.add_api_route("/chat/completions", handlers.complete, methods=["POST"])
    return routes


class _OpenAIRoutes:
    def __init__(
        self, client: IActorClient, directory: RuntimeDirectory, slots: StreamSlots
    ) -> None:
        self._client = client
        self._directory = directory
        self._slots = slots

    # --- models

    async def list_models(self) -> Response:
        """The agents, as models."""
        known = await self._directory.actor_types()
        return json_response(
            {"object": "list", "data": [_model(one.name) for one in known]}
        )

    async def read_model(self, model: str) -> Response:
        """One agent, as a model."""
        known = [one.name for one in await self._directory.actor_types()]
        if model not in known:
            raise UnknownActorType(model, known)
        return json_response(_model(model))

    # --- responses

    async def respond(
        self, body: ResponsesRequest, message_id: _MESSAGE_ID = None
    ) -> Response:
        """A turn of a conversation."""
        actor_id = await self._conversation_of(body)
        name = message_id or uuid.uuid4().hex
        asked = await self._open_approvals(actor_id, body)
        params = {"messages": input_messages(body, asked)}
        response_id = ResponseId(actor_id, name)
        head = ResponseHead.of(body, response_id, time.time())
        if body.stream:
            slot = self._slots.take()
            try:
                handle = await self._send(actor_id, params, name)
            except BaseException:
                slot.release()
                raise
            return EventStream(response_events(handle, head), slot, {})
        handle = await self._send(actor_id, params, name)
        if body.background:
            return json_response(open_response(head, "queued"))
        message = await handle.get_response()
        return json_response(response_of(head, message))

    async def _conversation_of(self, body: ResponsesRequest) -> ActorId:
        if body.previous_response_id is None:
            named = body.conversation_id
            if named is None:
                named = f"openai-{uuid.uuid4().hex}"
            return await find_actor(self._directory, body.model, named)
        if body.conversation_id is not None:
            problem = "cannot be given together with conversation"
            raise InvalidRequest("previous_response_id", problem)
        previous = ResponseId.parse(body.previous_response_id)
        if previous.actor_id.type_name != body.model:
            problem = f"is a response of the model {previous.actor_id.type_name!r}"
            raise InvalidRequest("previous_response_id", problem)
        view = await self._directory.read_actor(previous.actor_id, limit=1)
        newest = [turn.message_id for turn in (*view.turns, view.running) if turn]
        newest += [turn.message_id for turn in view.waiting]
        if newest and newest[-1] == previous.message_id:
            return previous.actor_id
        return await self._directory.fork(previous.actor_id, at=previous.message_id)

    async def _open_approvals(
        self, actor_id: ActorId, body: ResponsesRequest
    ) -> dict[str, dict[str, JsonValue]]:
        """The newest approval requests, if the input answers some."""
        if not approvals_in(body):
            return {}
        view = await self._directory.read_actor(actor_id, limit=10)
        asked: dict[str, dict[str, JsonValue]] = {}
        for turn in view.turns:
            asked |= approval_requests(turn.data)
        return asked

    async def read_response(self, response_id: str) -> Response:
        """The answer of a turn, or that it is under way."""
        named, handle = await self._find(response_id)
        head = ResponseHead(named, time.time())
        view = await self._directory.read_actor(named.actor_id, limit=1)
        waiting = [turn.message_id for turn in view.waiting]
        if view.running is not None and view.running.message_id == named.message_id:
            return json_response(open_response(head, "in_progress"))
        if named.message_id in waiting:
            return json_response(open_response(head, "queued"))
        message = await handle.get_response()
        if message.status is RequestStatus.NOT_FOUND:
            raise RequestNotFound(named.actor_id, named.message_id)
        whole = response_of(head, message, raising=False)
        return json_response(whole)

    async def cancel_response(self, response_id: str) -> Response:
        """Stop a turn; the answer is what there is of it."""
        named, handle = await self._find(response_id)
        await handle.cancel()
        message = await handle.get_response()
        if message.status is RequestStatus.NOT_FOUND:
            raise RequestNotFound(named.actor_id, named.message_id)
        head = ResponseHead(named, time.time())
        whole = response_of(head, message, raising=False)
        return json_response(whole)

    async def _find(self, response_id: str) -> tuple[ResponseId, ActorResponseHandle]:
        named = ResponseId.parse(response_id)
        handle = await self._client.get_response(named.actor_id, named.message_id)
        return named, handle

    # --- chat completions

    async def complete(
        self,
        body: ChatRequest,
        message_id: _MESSAGE_ID = None,
        conversation_id: _CONVERSATION = None,
    ) -> Response:
        """A turn with the history that the caller holds."""
        name = message_id or uuid.uuid4().hex
        named = f"chat-{name}" if conversation_id is None else conversation_id
        actor_id = await find_actor(self._directory, body.model, named)
        messages = chat_messages(body, only_new=conversation_id is not None)
        forgets = conversation_id is None and not body.store

        async def forget() -> None:
            if forgets:
                await self._directory.delete_actor(actor_id)

        head = CompletionHead(body.model, name, time.time())
        headers = {} if forgets else {"X-Conversation-Id": _shown(named)}
        if not body.stream:
            handle = await self._send(actor_id, {"messages": messages}, name)
            message = await handle.get_response()
            await forget()
            return json_response(completion(head, message), 200, headers)
        slot = self._slots.take()
        try:
            handle = await self._send(actor_id, {"messages": messages}, name)
        except BaseException:
            slot.release()
            raise
        chunks = completion_chunks(
            handle, head, with_usage=body.includes_usage, at_end=forget
        )
        return EventStream(chunks, slot, headers)

    async def _send(
        self, actor_id: ActorId, params: JsonValue, message_id: str
    ) -> ActorResponseHandle:
        return await self._client.send_request(actor_id, "run", params, message_id)


def _model(name: str) -> JsonValue:
    return {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": "agent-runtime-nb",
    }


def _shown(text: str) -> str:
    return text.encode("ascii", "backslashreplace").decode()
