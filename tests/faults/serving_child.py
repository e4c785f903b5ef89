"""A process that serves over HTTP and runs out of file descriptors.

`python -m tests.faults.serving_child <file> <token>`; beside `children`, since most of
those need no server and start faster without it.
"""

import asyncio
import contextlib
import logging
import resource
import sys

from agent_runtime_nb.http_api.server import EmbeddedServer
from tests.fakes import echo
from tests.faults.children import heard, say, take_all_files, world


class Paused(logging.Filter):
    """Says once that the server cannot accept a connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.loop = loop
        self.seen = asyncio.Event()

    def filter(self, record: logging.LogRecord) -> bool:
        if "out of system resource" in record.getMessage():
            self.loop.call_soon_threadsafe(self.seen.set)
            return False
        return True


async def main(path: str, token: str) -> None:
    paused = Paused(asyncio.get_running_loop())
    logging.getLogger("asyncio").addFilter(paused)
    async with world(echo, path) as here:
        await here.ask("before")
        server = EmbeddedServer(here.client, here.runtime, token=token).start()
        say(server.url)
        await heard()
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, most))
        with contextlib.ExitStack() as taken:
            take_all_files(taken)
            say("taken")
            await paused.seen.wait()
            say("paused")
            await here.others_answer()
            say("others answered")
            await heard()
        await here.judge()
        await heard()  # until the input ends: who waited has been served
        await asyncio.to_thread(server.stop)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
    say("done")
