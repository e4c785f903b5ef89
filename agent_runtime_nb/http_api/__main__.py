"""`python -m agent_runtime_nb.http_api`: the sample agents behind the HTTP API.

Runtime and server share the loop of the main thread. SIGTERM and Ctrl-C stop it in
order: no new requests, running ones get their time, then the runtime stops.
"""

import asyncio
import signal
import socket
from collections.abc import Sequence
from typing import Annotated

import typer

from agent_runtime_nb.exceptions import AgentRuntimeError
from agent_runtime_nb.hosting import SAMPLE_AGENTS, Host
from agent_runtime_nb.http_api.app import create_app
from agent_runtime_nb.http_api.guard import GuardOptions, new_token
from agent_runtime_nb.http_api.server import (
    HttpServer,
    check_host,
    curl_line,
    is_loopback,
    listen,
    url_of,
)

TOKEN_VARIABLE = "AGENT_RUNTIME_TOKEN"  # noqa: S105 - a name, no token
"""The environment variable with the token."""

GRACE = 10.0
"""Seconds that running requests get after a signal; a second Ctrl-C ends them."""

_app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@_app.command()
def serve(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.")] = 8000,
    token: Annotated[
        str | None,
        typer.Option(
            envvar=TOKEN_VARIABLE,
            help="Bearer token of the clients; a random one is printed if not given.",
        ),
    ] = None,
    no_token: Annotated[
        bool, typer.Option("--no-token", help="Ask for none (loopback only).")
    ] = False,
    storage: Annotated[
        str | None,
        typer.Option(help='"memory:", "sqlite:///path" or the path of a SQLite file.'),
    ] = None,
    allow_remote: Annotated[
        bool,
        typer.Option("--allow-remote", help="Let other machines connect to --host."),
    ] = False,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(help="A Host that clients name, as in example.org:8000."),
    ] = None,
) -> None:
    """Serve the sample agents over HTTP until SIGTERM or Ctrl-C."""
    if no_token and not is_loopback(host):
        raise typer.BadParameter("--no-token is for a loopback --host alone")
    is_random = token is None and not no_token
    token = new_token() if is_random else None if no_token else token
    try:
        guard = GuardOptions(token=token, allowed_hosts=allowed_host or ())
        check_host(host, allow_remote=allow_remote)
        hosted = Host(*SAMPLE_AGENTS, storage=storage)
        with listen(host, port) as sock:
            greeting = _greeting(hosted, url_of(sock), guard, is_random=is_random)
            asyncio.run(_run(hosted, sock, guard, greeting))
    except (AgentRuntimeError, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        typer.echo(f"agent_runtime_nb: {reason}", err=True)
        raise typer.Exit(1) from error


async def _run(
    hosted: Host, sock: socket.socket, guard: GuardOptions, greeting: str
) -> None:
    server = HttpServer(create_app(hosted.client, hosted.runtime, guard=guard))
    server.grace = GRACE
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, server.handle_exit)
    async with hosted:
        typer.echo(greeting)
        await server.serve(sockets=[sock])
    typer.echo("stopped")


def _greeting(hosted: Host, url: str, guard: GuardOptions, *, is_random: bool) -> str:
    lines = [
        f"Serving {', '.join(hosted.agents)} at {url} (docs: {url}/docs)",
        f"Conversations are kept in {hosted.storage.location}",
        "",
        "Paste into a terminal:",
        "",
    ]
    variable = None
    header = ""
    if guard.token is not None:
        variable = f"${TOKEN_VARIABLE}"
        header = f'-H "Authorization: Bearer {variable}" '
        shown = guard.token if is_random else "'the token you have chosen'"
        lines.append(f"export {TOKEN_VARIABLE}={shown}")
    agent = next(iter(hosted.agents))
    return "\n".join(
        [
            *lines,
            f"curl -s {header}{url}/agents",
            curl_line(url, agent, variable, conversation_id="c1"),
            curl_line(url, agent, variable, conversation_id="c1", stream=True),
            "",
            "Ctrl-C stops it.",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """The command; `arguments` are those of the process if None."""
    _app(arguments, prog_name="python -m agent_runtime_nb.http_api")


if __name__ == "__main__":
    main()
