"""`create_app`: guard, error handling and all routes, over any client and directory."""

from typing import Any

from fastapi import FastAPI

from agent_runtime_nb.http_api.ag_ui.routes import ag_ui_routes
from agent_runtime_nb.http_api.guard import Access, Guard, GuardOptions
from agent_runtime_nb.http_api.openai.routes import openai_routes
from agent_runtime_nb.http_api.problems import (
    MEDIA_TYPE,
    ProblemMiddleware,
    install_problems,
)
from agent_runtime_nb.http_api.routes.actors import actor_routes
from agent_runtime_nb.http_api.routes.agents import agent_routes
from agent_runtime_nb.http_api.routes.conversations import conversation_routes
from agent_runtime_nb.http_api.routes.docs import TITLE, docs_routes, openapi_document
from agent_runtime_nb.http_api.routes.health import health_routes
from agent_runtime_nb.http_api.routes.requests import request_routes
from agent_runtime_nb.http_api.routes.runs import RunEndpoint, RunRoutes, run_routes
from agent_runtime_nb.http_api.routes.tickets import ticket_routes
from agent_runtime_nb.http_api.sse import StreamSlots
from agent_runtime_nb.runtime_abstractions import IActorClient
from agent_runtime_nb.runtime_directory import RuntimeDirectory
from agent_runtime_nb.side_channel.tickets import Tickets

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
        guard: who is let in. Without it a random token is needed; it is at
            `app.state.guard.token`. `app.state.access` can replace it.
        max_streams: event streams open at once; a further one gets 429.
        tickets: those of the side channel; None: there are none.
    """
    options = GuardOptions() if guard is None else guard
    app = FastAPI(title=TITLE, docs_url=None, redoc_url=None, openapi_url=None)
    slots = StreamSlots(max_streams)
    runs = RunRoutes(client, directory, slots)
    access, tickets = Access(options.token), tickets or Tickets()
    app.state.guard, app.state.access, app.state.streams = options, access, slots
    app.openapi = lambda: openapi_document(app)
    for routes in (
        run_routes(runs),
        agent_routes(directory),
        health_routes(directory),
        request_routes(client, directory, slots),
        conversation_routes(directory),
        actor_routes(client, directory, slots),
        openai_routes(client, directory, slots),
        ag_ui_routes(client, directory, slots),
    ):
        app.include_router(routes, responses=_ERRORS)
    app.include_router(docs_routes())
    app.include_router(ticket_routes(tickets))
    # Also inside the guard, which adds the CORS headers: a page can read the problem.
    app.add_middleware(ProblemMiddleware)
    app.add_middleware(RunEndpoint, runs=runs)
    app.add_middleware(Guard, options=options, access=access, tickets=tickets)
    install_problems(app)
    return app
