"""Runs: `POST /agents/{agent_name}/run`, and the approval of tool calls."""

import re
from collections.abc import Iterable
from typing import Any, cast

from fastapi import APIRouter, Request, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from agent_runtime_nb.agents.approvals import answer_properties
from agent_runtime_nb.conversations.entries import CONTENT_FIELDS, parse_messages
from agent_runtime_nb.exceptions import InvalidRequest, MessageIdReused
from agent_runtime_nb.http_api.approvals import approval_requests, approval_summary
from agent_runtime_nb.http_api.delivery import (
    Delivery,
    LastEventId,
    Prefer,
    deliver,
)
from agent_runtime_nb.http_api.lookup import find_actor
from agent_runtime_nb.http_api.problems import Problem, Refused
from agent_runtime_nb.http_api.routes.run_request import (
    RUN_OPENAPI,
    read_body,
    read_headers,
)
from agent_runtime_nb.http_api.schemas import (
    ApprovalDecision,
    ApprovalDecisions,
    ApprovalList,
    RunRequest,
    RunResponse,
)
from agent_runtime_nb.http_api.sse import EventStream, StreamSlots
from agent_runtime_nb.http_api.turn_response import json_response
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorResponseHandle,
    IActorClient,
    JsonValue,
    TurnView,
)
from agent_runtime_nb.runtime_directory import RuntimeDirectory

_RUN = re.compile("/agents/([^/]+)/run")
_APPROVAL_TURNS = 200  # the newest turns, in which an approval may still be open

RUN_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"model": RunResponse, "content": {EventStream.media_type: {}}},
    202: {"model": RunResponse, "description": "Accepted; `Location` has the answer"},
    204: {"description": "The stream that is resumed had been read to its end"},
}
"""The responses of a run, for the OpenAPI document."""


def run_routes(runs: "RunRoutes") -> APIRouter:
    """The routes of this module."""
    routes = APIRouter()
    approvals = "/agents/{agent_name}/conversations/{conversation_id:path}/approvals"
    sends: dict[str, Any] = {
        "methods": ["POST"],
        "response_model": RunResponse,
        "responses": RUN_RESPONSES,
    }
    run = "/agents/{agent_name}/run"  # `RunEndpoint` is nearly always before it
    routes.add_api_route(run, runs.run, openapi_extra=RUN_OPENAPI, **sends)
    routes.add_api_route(approvals, runs.approvals, response_model=ApprovalList)
    routes.add_api_route(approvals, runs.decide_all, **sends)
    routes.add_api_route(approvals + "/{approval_id:path}", runs.decide, **sends)
    return routes


class RunEndpoint:
    """The middleware that serves runs, before any router.

    Finding the route, and all that a router does around it, costs more than the route.
    With the framework's traces on, runs are left to the router, which names the route.
    """

    def __init__(self, app: ASGIApp, runs: "RunRoutes") -> None:
        self._app = app
        self._runs = runs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope.get("method") == "POST" and "fastapi.telemetry" not in scope:
            path = scope["path"].removeprefix(scope.get("root_path", ""))
            found = _RUN.fullmatch(path)
            if found is not None:
                response = await self._runs.run(Request(scope, receive), found[1])
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)


class RunRoutes:
    """The handlers of the routes of this module."""

    def __init__(
        self, client: IActorClient, directory: RuntimeDirectory, slots: StreamSlots
    ) -> None:
        self._client = client
        self._directory = directory
        self._slots = slots

    async def run(self, request: Request, agent_name: str) -> Response:
        """Send messages to a conversation and get the answer of that turn.

        With `Accept: text/event-stream`, or `"stream": true`, an event stream:
        `update` events (`{"sequence", "progress"}`), then `response` with what the
        plain answer would be, or `error` with a problem.
        """
        body = await read_body(request)
        headers = read_headers(request)
        actor_id = await self._actor_id(body, agent_name)
        params: dict[str, JsonValue] = {
            "messages": [message.to_params() for message in body.messages]
        }
        _check_parts(params)

        async def send() -> ActorResponseHandle:
            return await self._client.send_request(
                actor_id,
                "run",
                params,
                headers.message_id,
                when_busy=body.when_busy,
                timeout=body.timeout,
            )

        delivery = Delivery.of(
            headers.accept,
            stream=body.stream,
            after=headers.after,
            prefer=headers.prefer,
        )
        return await deliver(request, self._slots, send, delivery)

    async def _actor_id(self, body: RunRequest, agent_name: str) -> ActorId:
        if body.agent_name not in (None, agent_name):
            problem = f"{body.agent_name!r} is not the {agent_name!r} of the path"
            raise InvalidRequest("agent_name", problem)
        conversation_id = body.conversation_id
        if conversation_id is None:
            conversation_id = f"http-{agent_name}"
        return await find_actor(self._directory, agent_name, conversation_id)

    # --- approvals

    async def approvals(self, agent_name: str, conversation_id: str) -> Response:
        """The tool calls that wait for a decision, oldest first."""
        actor_id = await find_actor(self._directory, agent_name, conversation_id)
        turns = await self._turns(actor_id)
        answered = _answered(turns)
        found = [
            {**approval_summary(part), "request_id": turn.message_id}
            for turn in turns
            for approval_id, part in approval_requests(turn.data).items()
            if approval_id not in answered
        ]
        return json_response({"approvals": found})

    async def decide(
        self,
        *,
        request: Request,
        agent_name: str,
        conversation_id: str,
        approval_id: str,
        body: ApprovalDecision,
        last_event_id: LastEventId = None,
        prefer: Prefer = None,
    ) -> Response:
        """Approve or reject a tool call; the turn that follows is the answer.

        Each decision counts once: the same one again gives the recorded answer,
        another one 409. If its turn has asked about several calls, decide about all
        of them together.
        """
        actor_id = await find_actor(self._directory, agent_name, conversation_id)
        accept = request.headers.get("accept", "")
        delivery = Delivery.of(accept, after=last_event_id, prefer=prefer)
        return await self._decide(request, actor_id, {approval_id: body}, delivery)

    async def decide_all(
        self,
        *,
        request: Request,
        agent_name: str,
        conversation_id: str,
        body: ApprovalDecisions,
        last_event_id: LastEventId = None,
        prefer: Prefer = None,
    ) -> Response:
        """Decide about every tool call that a turn has asked about, at once."""
        actor_id = await find_actor(self._directory, agent_name, conversation_id)
        accept = request.headers.get("accept", "")
        delivery = Delivery.of(accept, after=last_event_id, prefer=prefer)
        return await self._decide(request, actor_id, body.in_full(), delivery)

    async def _decide(
        self,
        request: Request,
        actor_id: ActorId,
        decisions: dict[str, ApprovalDecision],
        delivery: Delivery,
    ) -> Response:
        turns = await self._turns(actor_id)
        asking = _turn_that_asked(turns, decisions)
        # The id follows from the turn, as in the chat panel: one decision, whoever
        # makes it, however often it is sent.
        message_id = f"{asking.message_id}-answer"
        if _answered(turns).get(next(iter(decisions)), message_id) != message_id:
            raise _already_decided()
        contents = [
            _response(part, decisions[approval_id])
            for approval_id, part in approval_requests(asking.data).items()
        ]
        message = {"role": "user", "contents": contents, "message_id": message_id}

        async def send() -> ActorResponseHandle:
            params = {"messages": [message]}
            try:
                return await self._client.send_request(
                    actor_id, "run", params, message_id
                )
            except MessageIdReused:
                raise _already_decided() from None

        return await deliver(request, self._slots, send, delivery)

    async def _turns(self, actor_id: ActorId) -> list[TurnView]:
        view = await self._directory.read_actor(actor_id, limit=_APPROVAL_TURNS)
        running = () if view.running is None else (view.running,)
        return [*view.turns, *running, *view.waiting]


def _check_parts(params: dict[str, JsonValue]) -> None:
    """Raise now what an agent would raise in its turn.

    Parts of other types than the framework's are for hand-written actors: not checked.
    """
    parts = [part for message in params["messages"] for part in _parts(message)]
    if not parts or any(part["type"] not in CONTENT_FIELDS for part in parts):
        return
    parse_messages(params, "-")


def _turn_that_asked(turns: list[TurnView], decisions: Iterable[str]) -> TurnView:
    """The turn that asked about these calls, all of them."""
    wanted = set(decisions)
    for turn in reversed(turns):
        asked = set(approval_requests(turn.data))
        if wanted == asked:
            return turn
        if wanted & asked:
            missing = ", ".join(sorted(asked - wanted) or sorted(wanted - asked))
            detail = f"decide about all calls of that turn at once: also {missing}"
            raise Refused(Problem(409, "approvals-belong-together", detail))
    detail = "nothing in this conversation has asked for that approval"
    raise Refused(Problem(404, "approval-not-found", detail))


def _answered(turns: list[TurnView]) -> dict[str, str]:
    """The message ids of the requests that answered approvals, by approval id."""
    found: dict[str, str] = {}
    for turn in turns:
        params: JsonValue = turn.params
        given = cast("dict[str, Any]", params if isinstance(params, dict) else {})
        for message in cast("list[dict[str, Any]]", given.get("messages") or []):
            for part in _parts(message):
                if part.get("type") == "function_approval_response":
                    found.setdefault(str(part.get("id")), turn.message_id)
    return found


def _parts(message: dict[str, Any]) -> list[dict[str, Any]]:
    parts: JsonValue = message.get("contents") or message.get("content")
    return cast("list[dict[str, Any]]", parts) if isinstance(parts, list) else []


def _response(
    part: dict[str, JsonValue], decision: ApprovalDecision
) -> dict[str, JsonValue]:
    """The framework's answer to an approval request; the call is the recorded one."""
    kept = {key: part[key] for key in part if key != "user_input_request"}
    properties = answer_properties(
        for_conversation=decision.approved and decision.scope == "conversation",
        reason=decision.reason,
    )
    if properties:
        kept["additional_properties"] = {
            **kept.get("additional_properties", {}),
            **properties,
        }
    return {**kept, "type": "function_approval_response", "approved": decision.approved}


def _already_decided() -> Refused:
    detail = "that was decided before, and each decision counts once"
    return Refused(Problem(409, "approval-decided", detail, {"retryable": False}))
