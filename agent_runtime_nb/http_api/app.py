"""`create_app`: the routes, over any client and any directory."""

import asyncio
from typing import Any

from fastapi import APIRouter, FastAPI, Response

from agent_runtime_nb.exceptions import LoopBlocked
from agent_runtime_nb.http_api.ag_ui.routes import ag_ui_routes
from agent_runtime_nb.http_api.answers import find_agent, json_response
from agent_runtime_nb.http_api.docs_page import TITLE, describe, docs_router
from agent_runtime_nb.http_api.guard import Access, Guard, GuardOptions
from agent_runtime_nb.http_api.openai.routes import openai_routes
from agent_runtime_nb.http_api.problems import (
    MEDIA_TYPE,
    ProblemMiddleware,
    install_problems,
)
from agent_runtime_nb.http_api.routes.actors import actor_routes
from agent_runtime_nb.http_api.routes.conversations import conversation_routes
from agent_runtime_nb.http_api.routes.requests import request_routes
from agent_runtime_nb.http_api.routes.runs import RunEndpoint, Talk, run_routes
from agent_runtime_nb.http_api.routes.tickets import ticket_routes
from agent_runtime_nb.http_api.schemas import AgentInfo, AgentList, HealthInfo
from agent_runtime_nb.http_api.sse import StreamSlots
from agent_runtime_nb.runtime_abstractions import IActorClient
from agent_runtime_nb.runtime_directory import RuntimeDirectory
from agent_runtime_nb.side_channel.tickets import Tickets

HEALTH_TIMEOUT = 0.8
"""Seconds after which `/health` says that the runtime does not answer."""

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
    tickets: Tickets | None = None,
) -> FastAPI:
    """The HTTP API of whatever `client` and `directory` reach.

    Args:
        client: to talk to agents; used from the loop that serves the app.
        directory: to list them and what they keep.
        guard: who may enter. Without it a random token is asked for; it is at
            `app.state.guard.token`. `app.state.access` can replace it.
        max_streams: event streams open at once; a further one gets 429.
        tickets: what pages of chat panels may do beside the widget channel.
    """
    options = GuardOptions() if guard is None else guard
    app = FastAPI(title=TITLE, docs_url=None, redoc_url=None, openapi_url=None)
    slots = StreamSlots(max_streams)
    talk = Talk(client, directory, slots)
    access, tickets = Access(options.token), tickets or Tickets()
    app.state.guard, app.state.access, app.state.streams = options, access, slots
    app.openapi = lambda: describe(app)
    for routes in (
        run_routes(talk),
        _looking(directory),
        request_routes(client, directory, slots),
        conversation_routes(directory),
        actor_routes(client, directory, slots),
        openai_routes(client, directory, slots),
        ag_ui_routes(client, directory, slots),
    ):
        app.include_router(routes, responses=_ERRORS)
    app.include_router(docs_router())
    app.include_router(ticket_routes(tickets))
    # Once inside the guard, so that a page that may call can read what a route refuses.
    app.add_middleware(ProblemMiddleware)
    app.add_middleware(RunEndpoint, talk=talk)
    app.add_middleware(Guard, options=options, access=access, tickets=tickets)
    install_problems(app)
    return app


def _looking(directory: RuntimeDirectory) -> APIRouter:
    """What is there, and how it is."""
    routes, look = APIRouter(), _AgentRoutes(directory)
    routes.add_api_route("/agents", look.list_agents, response_model=AgentList)
    one = "/agents/{agent_name}"
    routes.add_api_route(one, look.read_agent, response_model=AgentInfo)
    routes.add_api_route(
        "/health",
        look.health,
        response_model=HealthInfo,
        responses={503: {"model": HealthInfo}},
    )
    return routes


class _AgentRoutes:
    def __init__(self, directory: RuntimeDirectory) -> None:
        self._directory = directory

    async def list_agents(self) -> Response:
        """The agents that can be talked to, by name."""
        known = await self._directory.actor_types()
        agents = [{"name": one.name, "description": one.description} for one in known]
        return json_response({"agents": agents})

    async def read_agent(self, agent_name: str) -> Response:
        """One agent."""
        found = await find_agent(self._directory, agent_name)
        return json_response({"name": found.name, "description": found.description})

    async def health(self) -> Response:
        """How the runtime is; answers even while its event loop is blocked."""
        try:
            async with asyncio.timeout(HEALTH_TIMEOUT):
                found = await self._directory.health()
        except (TimeoutError, LoopBlocked):
            detail = str(LoopBlocked(HEALTH_TIMEOUT))
            return json_response({"status": "blocked", "detail": detail}, 503)
        body = {name: getattr(found, name) for name in HealthInfo.model_fields}
        return json_response(body, 503 if found.status == "stopped" else 200)
