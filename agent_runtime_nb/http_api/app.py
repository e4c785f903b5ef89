"""`create_app`: the routes, over any client and any directory.

A turn belongs to its conversation, not to the HTTP request that asked for it: a client
that goes away, a stream that breaks and a server that stops leave the turn alone. Its
answer can be asked for again with the same `Idempotency-Key`.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import Annotated, Any, cast

import orjson
from fastapi import APIRouter, Body, FastAPI, Header, Request, Response

from agent_runtime_nb.exceptions import (
    AgentRuntimeError,
    InvalidActorId,
    InvalidRequest,
    LoopBlocked,
    RequestNotFound,
    UnknownActorType,
)
from agent_runtime_nb.http_api.docs_page import TITLE, describe, docs_router
from agent_runtime_nb.http_api.guard import Guard, GuardOptions
from agent_runtime_nb.http_api.problems import (
    MEDIA_TYPE,
    Problem,
    install_problems,
    problem_of,
    problem_of_turn,
    stopping,
)
from agent_runtime_nb.http_api.schemas import (
    RUN_EXAMPLES,
    AgentInfo,
    AgentList,
    CancelResult,
    HealthInfo,
    MessageId,
    RunRequest,
    RunResponse,
)
from agent_runtime_nb.http_api.sse import EventStream, StreamSlots, frame
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorResponseHandle,
    ActorResponseMessage,
    IActorClient,
    JsonValue,
    RequestStatus,
)
from agent_runtime_nb.runtime_directory import (
    RuntimeDirectory,
)

HEALTH_TIMEOUT = 0.8
"""Seconds after which `/health` says that the runtime does not answer."""

_STATE_TIMEOUT = 5.0
"""Seconds after which a request that was just accepted is reported as it is: open."""

_PROBLEM = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemBody"}}}

_ERRORS: dict[int | str, dict[str, Any]] = {
    "default": {"description": "An error, as RFC 9457 says", "content": _PROBLEM},
    422: {"description": "Malformed; `errors` says where", "content": _PROBLEM},
}


def create_app(
    client: IActorClient,
    directory: RuntimeDirectory,
    *,
    guard: GuardOptions | None = None,
    max_streams: int = 100,
) -> FastAPI:
    """The HTTP API of whatever `client` and `directory` reach.

    Args:
        client: to talk to agents; used from the loop that serves the app.
        directory: to list them.
        guard: who may enter. Without it a random token is asked for; it is at
            `app.state.guard.token`.
        max_streams: event streams open at once; a further one gets 429.
    """
    options = GuardOptions() if guard is None else guard
    app = FastAPI(title=TITLE, docs_url=None, redoc_url=None, openapi_url=None)
    slots = StreamSlots(max_streams)
    app.state.guard, app.state.streams = options, slots
    app.openapi = lambda: describe(app)
    app.include_router(docs_router())
    app.include_router(_Api(client, directory, slots).router())
    app.add_middleware(Guard, options=options)
    install_problems(app)
    return app


class _Api:
    """The routes that need a token."""

    def __init__(
        self, client: IActorClient, directory: RuntimeDirectory, slots: StreamSlots
    ) -> None:
        self._client = client
        self._directory = directory
        self._slots = slots

    def router(self) -> APIRouter:
        one = "/agents/{agent_name}"
        request = one + "/conversations/{conversation_id:path}/requests/{message_id}"
        routes = APIRouter(responses=_ERRORS)
        routes.add_api_route("/agents", self.list_agents, response_model=AgentList)
        routes.add_api_route(one, self.read_agent, response_model=AgentInfo)
        routes.add_api_route(
            one + "/run",
            self.run,
            methods=["POST"],
            response_model=RunResponse,
            responses={200: {"content": {EventStream.media_type: {}}}},
        )
        routes.add_api_route(request, self.read_request, response_model=RunResponse)
        routes.add_api_route(
            request + "/cancel",
            self.cancel,
            methods=["POST"],
            response_model=CancelResult,
        )
        routes.add_api_route(
            "/health",
            self.health,
            response_model=HealthInfo,
            responses={503: {"model": HealthInfo}},
        )
        return routes

    async def list_agents(self) -> Response:
        """The agents that can be talked to, by name."""
        known = await self._directory.actor_types()
        agents = [{"name": one.name, "description": one.description} for one in known]
        return _json({"agents": agents})

    async def read_agent(self, agent_name: str) -> Response:
        """One agent."""
        known = await self._directory.actor_types()
        for one in known:
            if one.name == agent_name:
                return _json({"name": one.name, "description": one.description})
        raise UnknownActorType(agent_name, (one.name for one in known))

    async def run(
        self,
        request: Request,
        agent_name: str,
        body: Annotated[RunRequest, Body(openapi_examples=RUN_EXAMPLES)],
        idempotency_key: Annotated[
            MessageId | None,
            Header(description="The request's id: the same one is answered once."),
        ] = None,
        last_event_id: Annotated[
            int | None,
            Header(ge=0, description="Go on after this event; with Idempotency-Key."),
        ] = None,
    ) -> Response:
        """Send messages to a conversation and get the answer of that turn.

        With `Accept: text/event-stream`, or `"stream": true`, an event stream:
        `update` events (`{"sequence", "progress"}`), then `response` with what the
        plain answer would be, or `error` with a problem.
        """
        actor_id = await self._actor_id(body, agent_name)
        if not (body.stream or _wants_events(request)):
            handle = await self._send(actor_id, body, idempotency_key)
            return await _wait_for(handle)
        release = self._slots.take()
        try:
            handle = await self._send(actor_id, body, idempotency_key)
        except BaseException:
            release()
            raise
        frames = _frames(handle, last_event_id)
        return EventStream(frames, release, _request_id(handle))

    async def _send(
        self, actor_id: ActorId, body: RunRequest, message_id: str | None
    ) -> ActorResponseHandle:
        return await self._client.send_request(
            actor_id,
            "run",
            {"messages": [message.to_params() for message in body.messages]},
            message_id,
            when_busy=body.when_busy,
            timeout=body.timeout,
        )

    async def _actor_id(self, body: RunRequest, agent_name: str) -> ActorId:
        if body.agent_name not in (None, agent_name):
            problem = f"{body.agent_name!r} is not the {agent_name!r} of the path"
            raise InvalidRequest("agent_name", problem)
        conversation_id = body.conversation_id
        if conversation_id is None:
            conversation_id = f"http-{agent_name}"
        return await self._find(agent_name, conversation_id)

    async def _find(self, agent_name: str, conversation_id: str) -> ActorId:
        try:
            ActorId(agent_name, "-")
        except InvalidActorId:  # no agent can be called so
            known = await self._directory.actor_types()
            names = (one.name for one in known)
            raise UnknownActorType(agent_name, names) from None
        try:
            return ActorId(agent_name, conversation_id)
        except InvalidActorId as error:
            raise InvalidRequest("conversation_id", str(error)) from None

    async def read_request(
        self, agent_name: str, conversation_id: str, message_id: str
    ) -> Response:
        """A request as it stands: `pending`, or its final answer."""
        actor_id = await self._find(agent_name, conversation_id)
        handle = await self._client.get_response(actor_id, message_id)
        view = await self._directory.read_actor(actor_id, limit=1)
        still_open = {turn.message_id for turn in (view.running, *view.waiting) if turn}
        if message_id in still_open:
            return _pending(handle)
        try:
            async with asyncio.timeout(_STATE_TIMEOUT):
                answer = await handle.get_response()
        except TimeoutError:  # accepted just after the look at the actor
            return _pending(handle)
        return _answer(handle, answer)

    async def cancel(
        self, agent_name: str, conversation_id: str, message_id: str
    ) -> Response:
        """Cancel a waiting or running request."""
        actor_id = await self._find(agent_name, conversation_id)
        return _json({"cancelled": await self._client.cancel(actor_id, message_id)})

    async def health(self) -> Response:
        """How the runtime is; answers even while its event loop is blocked."""
        try:
            async with asyncio.timeout(HEALTH_TIMEOUT):
                found = await self._directory.health()
        except (TimeoutError, LoopBlocked):
            detail = str(LoopBlocked(HEALTH_TIMEOUT))
            return _json({"status": "blocked", "detail": detail}, 503)
        body = {name: getattr(found, name) for name in HealthInfo.model_fields}
        return _json(body, 503 if found.status == "stopped" else 200)


def _wants_events(request: Request) -> bool:
    accepted = request.headers.get("accept", "")
    return "text/event-stream" in accepted and "application/json" not in accepted


async def _frames(
    handle: ActorResponseHandle, after: int | None
) -> AsyncGenerator[bytes, None]:
    """The events of one request; an error is the last of them."""
    sequence = after
    try:
        async for message in handle.watch_updates(after):
            if message.status is RequestStatus.PENDING:
                sequence = int(message.data["sequence"])
                yield frame("update", sequence, message.data)
                continue
            problem = _failure(handle, message)
            if problem is None:
                yield frame("response", sequence, _body(handle, message))
            else:
                yield frame("error", sequence, problem.body())
    except Exception as error:
        yield frame("error", sequence, problem_of(error).body())


async def _wait_for(handle: ActorResponseHandle) -> Response:
    try:
        answer = await handle.get_response()
    except AgentRuntimeError as error:
        return problem_of(error).response(_request_id(handle))
    except asyncio.CancelledError:
        # The server stops and has waited long enough; the turn goes on.
        return stopping().response(_request_id(handle))
    return _answer(handle, answer)


def _answer(handle: ActorResponseHandle, message: ActorResponseMessage) -> Response:
    problem = _failure(handle, message)
    if problem is not None:
        return problem.response(_request_id(handle))
    return _json(_body(handle, message), headers=_request_id(handle))


def _failure(
    handle: ActorResponseHandle, message: ActorResponseMessage
) -> Problem | None:
    """The problem that a response is, if it is one."""
    if message.status is RequestStatus.NOT_FOUND:
        return problem_of(RequestNotFound(handle.actor_id, handle.message_id))
    if message.status is RequestStatus.FAILED:
        return problem_of_turn(message, _names(handle))
    return None


def _body(handle: ActorResponseHandle, message: ActorResponseMessage) -> JsonValue:
    body: dict[str, JsonValue] = {"messages": [], "status": message.status}
    body |= _names(handle)
    data: JsonValue = message.data
    if isinstance(data, dict) and "messages" in data:
        said = cast("dict[str, JsonValue]", data)
        body |= {"messages": said["messages"], "usage": said.get("usage")}
    else:
        body["data"] = data  # an actor that is no agent answers what it likes
    return body


def _pending(handle: ActorResponseHandle) -> Response:
    body: dict[str, JsonValue] = {"messages": [], "status": RequestStatus.PENDING}
    body |= _names(handle)
    return _json(body, headers=_request_id(handle))


def _names(handle: ActorResponseHandle) -> dict[str, JsonValue]:
    return {
        "agent_name": handle.actor_id.type_name,
        "conversation_id": handle.actor_id.instance_id,
        "request_id": handle.message_id,
    }


def _request_id(handle: ActorResponseHandle) -> dict[str, str]:
    """Ids made here are plain ASCII; a foreign one is shown as far as a header can."""
    shown = handle.message_id.encode("ascii", "backslashreplace").decode()
    return {"X-Request-Id": shown} if shown.isprintable() else {}


def _json(
    body: JsonValue, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    sent = {"Cache-Control": "no-store", **(headers or {})}
    return Response(orjson.dumps(body), status, sent, media_type="application/json")
