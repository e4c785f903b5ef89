"""Which requests `RunEndpoint` serves, and which it leaves to the router."""

from typing import Any

import pytest
from fastapi import Request, Response
from starlette.types import Message, Receive, Scope, Send

from agent_runtime_nb.http_api.routes.runs import RunEndpoint

RUN: dict[str, Any] = {
    "type": "http",
    "method": "POST",
    "path": "/agents/echo/run",
    "headers": [],
}


class _Talk:
    """Answers with the name of the agent that it is asked for."""

    async def run(self, request: Request, agent_name: str) -> Response:
        assert request.method == "POST"
        return Response(agent_name)


async def _router(scope: Scope, receive: Receive, send: Send) -> None:
    await Response("the router")(scope, receive, send)


async def _served(scope: dict[str, Any]) -> bytes:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    talk: Any = _Talk()
    await RunEndpoint(_router, talk)(scope, receive, send)
    return sent[-1]["body"]


@pytest.mark.parametrize(
    ("other", "agent"),
    [
        ({}, b"echo"),
        ({"path": "/agents/a b/run"}, b"a b"),
        ({"path": "/lab/agents/echo/run", "root_path": "/lab"}, b"echo"),
    ],
)
async def test_a_run_does_not_reach_the_router(
    other: dict[str, Any], agent: bytes
) -> None:
    answer = await _served({**RUN, **other})

    assert answer == agent


@pytest.mark.parametrize(
    "other",
    [
        {"method": "GET"},
        {"path": "/agents/echo/runs"},
        {"path": "/agents//run"},
        {"path": "/agents/a/b/run"},
        {"fastapi.telemetry": object()},  # traces are on, and name the route
    ],
)
async def test_everything_else_reaches_the_router(other: dict[str, Any]) -> None:
    answer = await _served({**RUN, **other})

    assert answer == b"the router"
