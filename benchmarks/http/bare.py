"""A bare FastAPI echo with a thread hop, and sse-starlette."""

import asyncio
import json
import socket
import threading
from collections.abc import AsyncGenerator
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sse_starlette import EventSourceResponse

from agent_runtime_nb.http_api.server import listen
from benchmarks.http.work import BURST, UPDATE, figures
from benchmarks.measure import Figures


class _Message(BaseModel):
    role: str
    content: str


class _Run(BaseModel):
    messages: list[_Message]


def _app(home: asyncio.AbstractEventLoop) -> FastAPI:
    app = FastAPI()

    async def echo(text: str) -> dict[str, Any]:
        message = {"role": "assistant", "content": f"Echo: {text}"}
        return {"messages": [message], "status": "completed"}

    @app.post("/run")
    async def run(body: _Run) -> dict[str, Any]:
        answer = asyncio.run_coroutine_threadsafe(echo(body.messages[0].content), home)
        return await asyncio.wrap_future(answer)

    async def burst() -> AsyncGenerator[dict[str, Any]]:
        for number in range(BURST):
            data = json.dumps({"sequence": number, "progress": UPDATE})
            yield {"id": str(number), "event": "update", "data": data}

    @app.get("/events")
    async def events() -> EventSourceResponse:
        return EventSourceResponse(burst())

    return app


def _serve(server: uvicorn.Server, sock: socket.socket) -> None:
    asyncio.run(server.serve(sockets=[sock]))


def run(scale: float) -> Figures:
    """Measure."""
    home = asyncio.new_event_loop()
    away = threading.Thread(target=home.run_forever, daemon=True)
    away.start()
    config = uvicorn.Config(
        _app(home), http="httptools", loop="asyncio", log_config=None
    )
    server = uvicorn.Server(config)
    with listen("127.0.0.1", 0) as sock:
        thread = threading.Thread(target=_serve, args=(server, sock), daemon=True)
        thread.start()
        port = sock.getsockname()[1]
        found = figures(port, "/run", "/events", scale)
        server.should_exit = True
        thread.join(10)
    home.call_soon_threadsafe(home.stop)
    away.join(10)
    return found
