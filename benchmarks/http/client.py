"""A process that speaks HTTP with as little work as possible."""

import asyncio
import json
import sys
import time
from dataclasses import dataclass

TOKEN = "benchmark"  # noqa: S105 - nobody else's
CONVERSATION = "CONVERSATION"  # in a body: replaced, each connection has its own


@dataclass(frozen=True, slots=True)
class Load:
    """What the client does: `count` requests over `connections`."""

    port: int
    target: str
    body: str
    connections: int
    count: int


def _request(load: Load) -> bytes:
    method = "POST" if load.body else "GET"
    head = [
        f"{method} {load.target} HTTP/1.1",
        f"Host: 127.0.0.1:{load.port}",
        f"Authorization: Bearer {TOKEN}",
    ]
    if load.body:
        head += ["Content-Type: application/json", f"Content-Length: {len(load.body)}"]
    return ("\r\n".join([*head, "", ""]) + load.body).encode()


async def _answer(reader: asyncio.StreamReader) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(head.decode())
    lowered = head.lower()
    if b"transfer-encoding: chunked" not in lowered:
        length = lowered.split(b"content-length: ")[1].split(b"\r\n")[0]
        await reader.readexactly(int(length))
        return
    while size := int(await reader.readuntil(b"\r\n"), 16):
        await reader.readexactly(size + 2)
    await reader.readexactly(2)


async def _client(load: Load) -> list[float]:
    request, left, seconds = _request(load), [load.count], list[float]()

    async def connection(number: int) -> None:
        mine = request.replace(CONVERSATION.encode(), b"c%011d" % number)
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", load.port, limit=2**24
        )
        while left[0] > 0:
            left[0] -= 1
            started = time.perf_counter()
            writer.write(mine)
            await _answer(reader)
            seconds.append(time.perf_counter() - started)
        writer.close()

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(load.connections):
            group.create_task(connection(number))
    return [*seconds, time.perf_counter() - started]


def main() -> None:
    """Run the client."""
    port, target, body, connections, count = sys.argv[1:]
    load = Load(int(port), target, body, int(connections), int(count))
    print(json.dumps(asyncio.run(_client(load))))


if __name__ == "__main__":
    main()
