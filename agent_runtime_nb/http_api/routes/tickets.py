"""What a page with a ticket may do: find the server, stop a turn, answer approvals.

Not in `/openapi.json`: these are for the page of the chat panel. The guard has checked
the ticket before; its record is in the request's state.
"""

from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from agent_runtime_nb.http_api.problems import Problem, Refused
from agent_runtime_nb.http_api.schemas import MessageId
from agent_runtime_nb.http_api.turn_response import json_response
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
    """The turn to cancel; idempotent."""

    model_config = ConfigDict(extra="forbid")

    message_id: MessageId


class Decision(BaseModel):
    """The answer to an approval request; only the first one counts."""

    model_config = ConfigDict(extra="forbid")

    turn: MessageId
    request_id: MessageId
    decision: Literal["once", "conversation", "deny"]
    reason: str | None = Field(None, max_length=10_000)


def ticket_routes(tickets: Tickets) -> APIRouter:
    """The routes of this module."""
    routes, handlers = APIRouter(include_in_schema=False), _TicketRoutes(tickets)
    for path, verb in (
        (HELLO_PATH, handlers.hello),
        (f"{TICKET_PATHS}renew", handlers.renew),
        (f"{TICKET_PATHS}cancel", handlers.cancel),
        (f"{TICKET_PATHS}answer", handlers.answer),
    ):
        routes.add_api_route(path, verb, methods=["POST"])
    return routes


class _TicketRoutes:
    def __init__(self, tickets: Tickets) -> None:
        self._tickets = tickets

    async def hello(self, body: EmptyBody) -> Response:
        """The server's id; a page compares it with the one that it got from its kernel."""
        return json_response({"server": self._tickets.server})

    async def renew(self, request: Request, body: EmptyBody) -> Response:
        """Keep the ticket alive, and the panel watching."""
        return await _deliver(request, {"type": "ping"})

    async def cancel(self, request: Request, body: Cancel) -> Response:
        """Cancel a waiting or running turn."""
        return await _deliver(request, {"type": "stop", **body.model_dump()})

    async def answer(self, request: Request, body: Decision) -> Response:
        """Answer an approval request."""
        return await _deliver(request, {"type": "answer", **body.model_dump()})


async def _deliver(request: Request, message: dict[str, Any]) -> Response:
    record: TicketRecord = request.state.ticket
    if not await record.deliver(record.actor_id, message):
        detail = "nothing of that id is open in the conversation of this ticket"
        more = {"retryable": False}
        raise Refused(Problem(404, "request-not-found", detail, more))
    return json_response({"accepted": True}, 202)
