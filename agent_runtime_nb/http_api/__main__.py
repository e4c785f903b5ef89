"""`python -m agent_runtime_nb.http_api [module:agents ...]`: agents behind the HTTP API.

Without agents it serves the samples, and `azure` and `openai` if the environment names
models for them.

Runtime and server share the loop of the main thread. SIGTERM and Ctrl-C stop it in
order: no new requests, running ones get their time, then the runtime stops.
"""

import asyncio
import importlib
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from agent_runtime_nb._base.loopback import is_loopback
from agent_runtime_nb.agents.environment import environment_agents
from agent_runtime_nb.agents.errors import place_of
from agent_runtime_nb.exceptions import AgentRuntimeError, InvalidAgent
from agent_runtime_nb.hosting import SAMPLE_AGENTS, Host
from agent_runtime_nb.http_api.app import create_app
from agent_runtime_nb.http_api.guard import GuardOptions, new_token
from agent_runtime_nb.http_api.server import (
    MAX_PORT,
    HttpServer,
    check_host,
    curl_line,
    listen,
    url_of,
)

TOKEN_VARIABLE = "AGENT_RUNTIME_TOKEN"  # noqa: S105 - a name, no token
"""The environment variable with the token."""

DRAIN = 10.0
"""Seconds that running turns get after a signal; a second Ctrl-C ends them."""

_app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@_app.command()
def serve(
    context: typer.Context,
    agents: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODULE:ATTRIBUTE]...",
            help="Agents, lists or mappings of them, or names of samples.",
        ),
    ] = None,
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=MAX_PORT, help="0 takes a free one.")
    ] = 8000,
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
        typer.Option(help='A path, "memory:", or a URL as redis://, postgresql://.'),
    ] = None,
    allow_remote: Annotated[
        bool,
        typer.Option("--allow-remote", help="Let other machines connect to --host."),
    ] = False,
    drain: Annotated[
        float,
        typer.Option(min=0, help="Seconds that running turns get when it stops."),
    ] = DRAIN,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(help="A Host that clients name, as in example.org:8000."),
    ] = None,
) -> None:
    """Serve agents over HTTP until SIGTERM or Ctrl-C.

    Without any: echo, mock-ai and scripted, and `azure` or `openai` if the environment
    has a key and a model for them.
    """
    if no_token and not is_loopback(host):
        raise typer.BadParameter("--no-token is for a loopback --host alone")
    if no_token and _is_typed(context, "token"):
        raise typer.BadParameter("give either --token or --no-token")
    is_random = token is None and not no_token
    token = new_token() if is_random else None if no_token else token
    try:
        guard = GuardOptions(token=token, allowed_hosts=allowed_host or ())
        check_host(host, allow_remote=allow_remote)
        hosted = Host(*_agents(agents or ()), storage=storage)
        with listen(host, port) as sock:
            greeting = _greeting(hosted, url_of(sock), guard, is_random=is_random)
            asyncio.run(_run(hosted, sock, guard, greeting, drain))
    except (AgentRuntimeError, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        typer.echo(f"agent_runtime_nb: {reason}", err=True)
        raise typer.Exit(1) from error


def _is_typed(context: typer.Context, name: str) -> bool:
    """Whether an option was given to the command, not by the environment."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _agents(named: Sequence[str]) -> list[Any]:
    """The agents to host; an incomplete environment is reported on stderr."""
    if named:
        # An installed command does not have its working directory in the path.
        if str(Path.cwd()) not in sys.path:
            sys.path.insert(0, str(Path.cwd()))
        return [agent for name in named for agent in _loaded(name)]
    found, problems = environment_agents()
    for problem in problems:
        typer.echo(f"agent_runtime_nb: {problem}", err=True)
    return [*SAMPLE_AGENTS, found]


def _loaded(name: str) -> list[Any]:
    """An agent by its name; of `module:agents` what that list holds."""
    module, colon, attribute = name.partition(":")
    if not colon:
        return [name]
    try:
        found: Any = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # the module is anybody's, and so is what it raises
        raise InvalidAgent(repr(name), _import_problem(error)) from error
    return (
        list(cast("list[Any]", found)) if isinstance(found, list | tuple) else [found]
    )


def _import_problem(error: Exception) -> str:
    if isinstance(error, SyntaxError):
        return f"line {error.lineno} of {error.filename}: {error.msg}"
    position = place_of(error)
    where = f" ({position})" if position else ""
    return f"it cannot be imported: {type(error).__name__}: {error}{where}"


async def _run(
    hosted: Host,
    sock: socket.socket,
    guard: GuardOptions,
    greeting: str,
    drain: float,
) -> None:
    server = HttpServer(create_app(hosted.client, hosted.runtime, guard=guard))
    server.grace = drain
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, server.handle_exit)
    await hosted.start()
    try:
        typer.echo(greeting)
        await server.serve(sockets=[sock])
    finally:
        # Turns that no HTTP request waits for get the time that is left, then INTERRUPTED.
        await hosted.stop(drain=server.grace_left())
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
        lines.append(
            f"export {TOKEN_VARIABLE}={guard.token}"
            if is_random
            else f"# with the token that you have chosen set as {TOKEN_VARIABLE}"
        )
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
