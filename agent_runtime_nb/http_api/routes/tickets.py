"""What a page with a ticket may do: see that it is here, stop a turn, answer.

Not in the description at `/openapi.json`: these are for the chat panel's own page. The
guard has looked at the ticket before; what it is good for is in the request's state.
"""

from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from agent_runtime_nb.http_api.answers import json_response
from agent_runtime_nb.http_api.problems import Problem, Refused
from agent_runtime_nb.http_api.schemas import MessageId
from agent_runtime_nb.side_channel.tickets import (
    HELLO_PATH,
    TICKET_PATHS,
    TicketRecord,
    Tickets,
)


class EmptyBody(BaseModel):
    """An empty object."""

    model_config = ConfigDict(extra="forbid")


class Cancel(BaseModel):
    """Which turn is to be stopped; twice is once."""

    model_config = ConfigDict(extra="forbid")

    message_id: MessageId


class Decision(BaseModel):
    """The answer to an approval request; it counts once."""

    model_config = ConfigDict(extra="forbid")

    turn: MessageId
    request_id: MessageId
    decision: Literal["once", "conversation", "deny"]
    reason: str | None = Field(None, max_length=10_000)


def ticket_routes(tickets: Tickets) -> APIRouter:
    """The routes of this module."""
    routes, verbs = APIRouter(include_in_schema=False), _Verbs(tickets)
    for path, verb in (
        (HELLO_PATH, verbs.hello),
        (f"{TICKET_PATHS}renew", verbs.renew),
        (f"{TICKET_PATHS}cancel", verbs.cancel),
        (f"{TICKET_PATHS}answer", verbs.answer),
    ):
        routes.add_api_route(path, verb, methods=["POST"])
    return routes


class _Verbs:
    def __init__(self, tickets: Tickets) -> None:
        self._tickets = tickets

    async def hello(self, body: EmptyBody) -> Response:
        """Who answers: a page compares it with what its kernel has told it."""
        return json_response({"server": self._tickets.server})

    async def renew(self, request: Request, body: EmptyBody) -> Response:
        """The page is still there."""
        return await _hand_over(request, {"type": "ping"})

    async def cancel(self, request: Request, body: Cancel) -> Response:
        """Cancel a waiting or running turn."""
        return await _hand_over(request, {"type": "stop", **body.model_dump()})

    async def answer(self, request: Request, body: Decision) -> Response:
        """Answer an approval request."""
        return await _hand_over(request, {"type": "answer", **body.model_dump()})


async def _hand_over(request: Request, message: dict[str, Any]) -> Response:
    held: TicketRecord = request.state.ticket
    if not await held.deliver(held.actor_id, message):
        detail = "nothing of that id is open in the conversation of this ticket"
        more = {"retryable": False}
        raise Refused(Problem(404, "request-not-found", detail, more))
    return json_response({"accepted": True}, 202)
