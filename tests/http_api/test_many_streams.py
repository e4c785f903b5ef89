"""Many streams at once, and readers that do not read."""

import asyncio
import json
import socket
import tracemalloc
from typing import Any

import httpx2

from agent_runtime_nb.http_api.server import EmbeddedServer
from tests.http_api.fakes import FakeClient
from tests.http_api.served import ServedRuntime, says

MANY = 100


def test_a_hundred_streams_at_once_all_arrive_whole(served: ServedRuntime):
    async def read(http: httpx2.AsyncClient, number: int) -> list[dict[str, Any]]:
        body = {
            **says(f"weather in City{number}"),
            "conversation_id": f"c{number}",
            "stream": True,
        }
        async with http.stream("POST", "/agents/scripted/run", json=body) as answer:
            assert answer.status_code == 200
            lines = [line async for line in answer.aiter_lines()]
        return [json.loads(line[6:]) for line in lines if line.startswith("data: ")]

    async def read_all() -> list[list[dict[str, Any]]]:
        async with httpx2.AsyncClient(
            base_url=served.server.url,
            headers={"Authorization": f"Bearer {served.server.token}"},
            timeout=60,
            trust_env=False,
            limits=httpx2.Limits(max_connections=MANY),
        ) as http:
            return await asyncio.gather(*(read(http, n) for n in range(MANY)))

    streams = asyncio.run(read_all())

    for number, events in enumerate(streams):
        numbers = [event["sequence"] for event in events[:-1]]
        assert numbers == list(range(len(numbers)))
        assert events[-1]["conversation_id"] == f"c{number}"
        assert f"City{number}" in events[-1]["messages"][-1]["content"]


def test_readers_that_never_read_keep_memory_flat(
    server: EmbeddedServer, actors: FakeClient, http: httpx2.Client
):
    actors.endless = True
    body = json.dumps({"messages": [{"role": "user", "text": "x"}], "stream": True})
    host, port = server.url.removeprefix("http://").split(":")
    head = (
        f"POST /agents/echo/run HTTP/1.1\r\nHost: {host}:{port}\r\n"
        f"Authorization: Bearer {server.token}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    )
    readers: list[socket.socket] = []
    http.get("/health")
    tracemalloc.start()
    try:
        for _ in range(10):
            reader = socket.create_connection((host, int(port)), timeout=10)
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.sendall(head.encode())
            readers.append(reader)
        # An endless burst of 1 kB updates each; meanwhile others are served.
        for _ in range(300):
            assert http.get("/health").status_code == 200
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        for reader in readers:
            reader.close()

    # 256 queued events, one chunk on its way and the socket's own buffer, each.
    assert used < 10 * 2_000_000
