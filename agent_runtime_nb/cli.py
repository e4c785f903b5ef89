"""The shell's composition root: `agent-runtime-nb`."""

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from agent_runtime_nb import __version__
from agent_runtime_nb._extras import load
from agent_runtime_nb.exceptions import AgentRuntimeError
from agent_runtime_nb.hosting import Host
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    RequestStatus,
)

app = typer.Typer(
    help="An actor runtime for AI agents in Jupyter.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line."""
    app(prog_name="agent-runtime-nb")


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        typer.echo(f"agent-runtime-nb {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_show_version,
            is_eager=True,
            help="Show the version and exit.",
        ),
    ] = False,
) -> None:
    """Global options."""


# --- demo -----------------------------------------------------------------------------


@app.command()
def demo(
    storage: Annotated[
        str | None,
        typer.Option(help='A file, "sqlite:///path" or "memory:"; else a temporary.'),
    ] = None,
) -> None:
    """Show actors at work: two agents, many conversations, state that survives."""
    try:
        if storage is not None:
            asyncio.run(_demo(storage))
            return
        with tempfile.TemporaryDirectory(prefix="agent-runtime-nb-") as folder:
            asyncio.run(_demo(str(Path(folder, "state.db"))))
    except AgentRuntimeError as error:
        typer.echo(f"agent-runtime-nb: {error}", err=True)
        raise typer.Exit(1) from error


async def _demo(storage: str) -> None:
    async with Host("echo", "mock-ai", storage=storage) as host:
        typer.echo(
            f"Two agents, {' and '.join(host.agents)}; {host.storage.location}\n"
        )
        await _show_single_request(host)
        await _show_several_turns(host)
        await _show_concurrent_conversations(host)
    async with Host("echo", "mock-ai", storage=storage) as host:
        await _show_what_was_kept(host)


async def _show_single_request(host: Host) -> None:
    typer.echo("1. A single request")
    await _say(host, ActorId("echo", "demo-single"), "Hello, actor!")


async def _show_several_turns(host: Host) -> None:
    typer.echo("\n2. Several turns of one conversation, in order")
    actor_id = ActorId("mock-ai", "demo-turns")
    for text in ("Hello!", "What can you do?", "Thank you."):
        await _say(host, actor_id, text)


async def _show_concurrent_conversations(host: Host) -> None:
    typer.echo("\n3. Three conversations at the same time, one actor each")
    async with asyncio.TaskGroup() as conversations:
        for name in ("ada", "grace", "edsger"):
            actor_id = ActorId("echo", f"demo-{name}")
            conversations.create_task(_say(host, actor_id, f"It is me, {name}."))


async def _show_what_was_kept(host: Host) -> None:
    typer.echo("\n4. Another runtime on the same storage goes on where that one ended")
    actor_id = ActorId("mock-ai", "demo-turns")
    view = await host.runtime.read_actor(actor_id)
    if not view.turns:
        typer.echo("   nothing was kept: memory ends with its runtime")
    for turn in view.turns:
        for entry in turn.entries:
            typer.echo(f"   (kept) {entry['role']}: {_text(entry)}")
    await _say(host, actor_id, "Are you still there?")


async def _say(host: Host, actor_id: ActorId, text: str) -> None:
    params = {"messages": [{"role": "user", "content": text}]}
    handle = await host.client.send_request(actor_id, "run", params)
    response = await handle.get_response()
    typer.echo(f"   {actor_id}  you:   {text}")
    if response.status is RequestStatus.COMPLETED:
        for message in response.data["messages"]:
            typer.echo(f"   {actor_id}  agent: {message['content']}")
    else:
        typer.echo(f"   {actor_id}  {response.status}: {response.data}", err=True)
        raise typer.Exit(1)


def _text(entry: dict[str, Any]) -> str:
    return "".join(part.get("text", "") for part in entry["contents"])


# --- serve ----------------------------------------------------------------------------


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
)
def serve(context: typer.Context) -> None:
    """Serve agents over HTTP; as `python -m agent_runtime_nb.http_api`."""
    load("agent_runtime_nb.http_api.__main__", "http").main(context.args)
