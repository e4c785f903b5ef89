"""uvicorn in a process that does other things too: a kernel, a script, a test.

The server has a daemon thread and an event loop of its own, so it answers while a cell
blocks the notebook's loop. It never touches signal handlers, and stopping it is
bounded: requests that still wait for a turn get 503 with Retry-After, streams a last
event, and turns go on.
"""

import asyncio
import atexit
import contextlib
import errno
import ipaddress
import socket
import sys
import threading
import time
from collections.abc import Generator, Iterable
from typing import Self

import uvicorn
from starlette.types import ASGIApp

from agent_runtime_nb._base.loopback import is_loopback
from agent_runtime_nb.exceptions import InvalidRequest
from agent_runtime_nb.http_api.app import create_app
from agent_runtime_nb.http_api.connection import ServerConnection
from agent_runtime_nb.http_api.guard import GuardOptions, new_token
from agent_runtime_nb.http_api.jupyter import (
    ServerAddresses,
    addresses_for,
    find_jupyter,
)
from agent_runtime_nb.http_api.problems import Problem
from agent_runtime_nb.runtime_abstractions import (
    IActorClient,
)
from agent_runtime_nb.runtime_directory import (
    RuntimeDirectory,
)
from agent_runtime_nb.side_channel.tickets import Tickets

MAX_CONNECTIONS = 512
"""Connections open at once; a further one gets 503."""

MAX_PORT = 65535

_START_TIMEOUT = 10.0

_TICK = 0.1  # seconds, as uvicorn's
_LAST_WRITES = 1.0  # seconds after `grace` for answers that are on their way out
_CLOSING_TICK = 0.005
_TURNS_TO_CONNECT = 3  # of the loop, from an accept to a connection

_TOKEN_CHANGED = Problem(
    401, "token-changed", "the token was replaced; use the new one"
)


class HttpServer(uvicorn.Server):
    """uvicorn that leaves signals alone and stops within a grace period.

    Attributes:
        ready: set when it accepts connections, or never will.
        grace: seconds that running requests get when it stops.
    """

    def __init__(self, app: ASGIApp) -> None:
        config = uvicorn.Config(
            app,
            http=ServerConnection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=MAX_CONNECTIONS,
        )
        super().__init__(config)
        self.ready = threading.Event()
        self.grace = 1.0
        self._grace_ends: float | None = None
        self._exiting = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Do nothing: signals belong to the process that embeds it."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, then `ready`."""
        await super().startup(sockets)
        self._loop = asyncio.get_running_loop()
        self.ready.set()

    def exit_soon(self) -> None:
        """Begin to stop; from another thread, after `ready`."""
        self.should_exit = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # its loop has ended meanwhile
                self._loop.call_soon_threadsafe(self._exiting.set)

    async def main_loop(self) -> None:
        """As uvicorn's, but `exit_soon` does not wait for the next tick."""
        ticks = 0
        while not await self.on_tick(ticks):
            ticks += 1
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK):
                    await self._exiting.wait()

    def grace_left(self) -> float:
        """Seconds of `grace` that are left; 0 after a second signal."""
        if self.force_exit:
            return 0.0
        if self._grace_ends is None:
            return self.grace
        return max(0.0, self._grace_ends - time.monotonic())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, wait `grace` seconds, end what is left.

        uvicorn's own would look at the connections once in a tenth of a second.
        """
        await self._stop_listening(sockets or ())
        tasks, connections = self.server_state.tasks, self.server_state.connections
        self._grace_ends = time.monotonic() + self.grace
        while tasks and self.grace_left():
            await asyncio.wait(set(tasks), timeout=_TICK)
        for task in tasks:
            task.cancel()
        for connection in list(connections):
            connection.shutdown()
        # Readers that do not read get so much more.
        aborted_at = time.monotonic() + _LAST_WRITES
        while (connections or tasks) and time.monotonic() < aborted_at:
            if self.force_exit:
                break
            await asyncio.sleep(_CLOSING_TICK)
        for connection in list(connections):
            connection.transport.abort()
        await asyncio.sleep(0)  # the transports end in the loop's next turn

    async def _stop_listening(self, sockets: Iterable[socket.socket]) -> None:
        """Accept nothing more; what was just accepted becomes a connection.

        asyncio loses a connection, and never closes it, whose server is closed in the
        turn of the loop between its accept and its transport.
        """
        loop = asyncio.get_running_loop()
        with contextlib.suppress(NotImplementedError):  # Windows
            for listening in [one for server in self.servers for one in server.sockets]:
                loop.remove_reader(listening.fileno())
        for _ in range(_TURNS_TO_CONNECT):
            await asyncio.sleep(0)
        for server in self.servers:
            server.close()
        for sock in sockets:
            sock.close()


def listen(host: str, port: int) -> socket.socket:
    """A bound socket, so that the port is known, and an error seen, at once.

    Raises:
        InvalidRequest: if no port has that number.
        OSError: if it cannot be bound; the message says what to do.
    """
    if not 0 <= port <= MAX_PORT:
        raise InvalidRequest("port", f"must be 0 to {MAX_PORT}, not {port}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With its protocol named, asyncio sets TCP_NODELAY on every connection; without
    # it, each answer on a kept connection takes 44 ms (Nagle and delayed ACK).
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform != "win32":  # there it would let two servers share a port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(128)
    except OSError as error:
        sock.close()
        raise OSError(error.errno, _bind_problem(error, host, port)) from error
    return sock


def _bind_problem(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        fix = "stop what uses it, or take port 0 for a free one"
        return f"port {port} on {host} is already in use: {fix}"
    return f"cannot listen on {host} port {port}: {error.strerror or error}"


def check_host(host: str, *, allow_remote: bool) -> None:
    """Refuse to listen to other machines by mistake.

    Raises:
        InvalidRequest: if `host` is not a loopback address and `allow_remote` is not
            set.
    """
    if not allow_remote and not is_loopback(host):
        problem = f"{host} can be reached from other machines; say so: --allow-remote, or allow_remote=True"
        raise InvalidRequest("host", problem)


def url_of(sock: socket.socket) -> str:
    """The URL of the server of `sock`, for a client on this machine."""
    host, port = sock.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = "::1" if sock.family == socket.AF_INET6 else "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class EmbeddedServer:
    """The HTTP API in a daemon thread of this process.

    `start()` returns when it answers; `stop()` within its timeout. It also stops when
    the interpreter ends. The token is in `token` and nowhere else: not in a repr, a
    URL or a log.

    Args:
        client: to talk to agents, from the server's own thread and loop.
        directory: to list them.
        host: a loopback address, or any other with `allow_remote`.
        port: 0 takes a free one.
        token: None makes a random one.
        allowed_hosts: see `GuardOptions`; those of the Jupyter server around this
            kernel are added.
        cors_origins: see `GuardOptions`.
        allow_remote: listen where other machines can connect.
        example_agent: the agent of the curl line in the repr.

    Raises:
        InvalidRequest: if `host` is remote without `allow_remote`, or the token empty.
    """

    def __init__(
        self,
        client: IActorClient,
        directory: RuntimeDirectory,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
        allowed_hosts: Iterable[str] = (),
        cors_origins: Iterable[str] = (),
        allow_remote: bool = False,
        example_agent: str = "echo",
    ) -> None:
        check_host(host, allow_remote=allow_remote)
        self.token = new_token() if token is None else token
        self._jupyter = find_jupyter()
        guard = GuardOptions(
            token=self.token,
            allowed_hosts=(*allowed_hosts, *self._jupyter.hosts),
            cors_origins=tuple(cors_origins),
        )
        self.tickets = Tickets()
        self._hosts = frozenset(host.casefold() for host in guard.allowed_hosts)
        self._app = create_app(client, directory, guard=guard, tickets=self.tickets)
        self._address = (host, port)
        self._example_agent = example_agent
        self._url = ""
        self._server: HttpServer | None = None
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def url(self) -> str:
        """Its base URL, without a trailing slash; empty before the first start."""
        return self._url

    @property
    def docs_url(self) -> str:
        """The interactive documentation; its Authorize button takes the token."""
        return f"{self._url}/docs"

    @property
    def running(self) -> bool:
        """Whether it answers."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> Self:
        """Listen and serve; a second call changes nothing.

        Raises:
            InvalidRequest: if no port has that number.
            OSError: if the port cannot be bound.
            RuntimeError: if the server ends before it answers.
        """
        if self.running:
            return self
        sock = listen(*self._address)
        server = HttpServer(self._app)
        self._failure = None
        self._thread = threading.Thread(
            target=self._serve, args=(server, sock), name="http-api", daemon=True
        )
        self._thread.start()
        if not server.ready.wait(_START_TIMEOUT) or not server.started:
            server.should_exit = True  # a late one ends too, and closes its socket
            raise RuntimeError("the HTTP server did not start") from self._failure
        self._server = server
        self._url = url_of(sock)
        self.tickets.open()
        atexit.register(self.stop, timeout=2.0)
        return self

    def rotate_token(self, token: str | None = None) -> str:
        """Take another token from now on; streams that are open end and say so.

        Tickets are revoked, too; a page that is still open gets another one.

        Args:
            token: the new one; None makes a random one.

        Returns:
            The new token.
        """
        new = new_token() if token is None else token
        self._app.state.access.replace(new)
        self.token = new
        self.tickets.revoke_all()
        if self._loop is not None and self.running:
            end = self._app.state.streams.end_all
            self._loop.call_soon_threadsafe(end, _TOKEN_CHANGED)
        return new

    @property
    def proxied_path(self) -> str | None:
        """Its path through Jupyter's proxy.

        On the Jupyter server's own address; None without the package
        `jupyter-server-proxy`, and outside Jupyter.
        """
        prefix = self._jupyter.proxy_prefix
        if not self._url or prefix is None:
            return None
        return f"{prefix}{self._url.rpartition(':')[2]}"

    def addresses_for(self, origin: str) -> ServerAddresses:
        """Where a page of `origin` may reach this server; see `ServerAddresses`."""
        return addresses_for(origin, self._url, self.proxied_path, self._hosts)

    def stop(self, timeout: float = 5.0) -> bool:
        """Stop it, from any thread but its own; idempotent.

        Args:
            timeout: seconds this call takes at most; running requests get all of it
                but two.

        Returns:
            Whether it has ended; if not it ends by itself, at the latest with the
            process.
        """
        atexit.unregister(self.stop)
        server, thread = self._server, self._thread
        if server is not None:
            server.grace = max(0.0, timeout - 2.0)
            server.exit_soon()
        self.tickets.close()
        if thread is None:
            return True
        thread.join(timeout)
        return not thread.is_alive()

    def _serve(self, server: HttpServer, sock: socket.socket) -> None:
        try:
            with asyncio.Runner() as runner:
                self._loop = runner.get_loop()
                runner.run(server.serve(sockets=[sock]))
        except (Exception, SystemExit) as error:
            self._failure = error
        finally:
            sock.close()
            server.ready.set()

    def __repr__(self) -> str:
        if not self.running:
            return "EmbeddedServer(stopped)"
        return f"EmbeddedServer({self._url}, docs: {self.docs_url}, token: ***)"

    def _repr_markdown_(self) -> str:
        if not self.running:
            return "**HTTP server**: stopped"
        line = curl_line(self._url, self._example_agent, "$TOKEN")
        path = self.proxied_path
        proxied = (
            ""
            if path is None
            else f"Through Jupyter, also from another machine: [{path}/]({path}/) · "
            f"[interactive docs]({path}/docs)\n\n"
        )
        return (
            f"**HTTP server** at [{self._url}]({self._url}) · "
            f"[interactive docs]({self.docs_url})\n\n{proxied}"
            "In a terminal, with `TOKEN` set to what `server.token` shows here "
            "(`server`: what `serve()` returned):\n\n"
            f"```sh\n{line}\n```\n"
        )


def curl_line(
    url: str,
    agent: str,
    token: str | None,
    *,
    conversation_id: str | None = None,
    stream: bool = False,
) -> str:
    """A command for a POSIX shell; `token` may be a variable of it, `$TOKEN`."""
    name = f'"conversation_id": "{conversation_id}", ' if conversation_id else ""
    body = f'{{{name}"messages": [{{"role": "user", "content": "Hello"}}]}}'
    words = ["curl -s"]
    if token is not None:
        words.append(f'-H "Authorization: Bearer {token}"')
    if stream:
        words.append("-N -H 'Accept: text/event-stream'")
    words.append(f"-H 'Content-Type: application/json' -d '{body}'")
    return " ".join([*words, f"{url}/agents/{agent}/run"])
