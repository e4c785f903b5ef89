"""The shell's composition root: `agent-runtime-nb`."""

import asyncio
import contextlib
import tempfile
import uuid
from collections.abc import Generator
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote

import typer

from agent_runtime_nb import __version__
from agent_runtime_nb._base.extras import load
from agent_runtime_nb.exceptions import AgentRuntimeError, InvalidRequest
from agent_runtime_nb.hosting import Host
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    RequestStatus,
    StoredId,
)
from agent_runtime_nb.storage.copy import CopyReport, copy_storage
from agent_runtime_nb.storage.memory import InMemoryStateStorage
from agent_runtime_nb.storage.sqlite.storage import SqliteStateStorage
from agent_runtime_nb.storage.urls import open_storage
from agent_runtime_nb.storage_abstractions import HostInfo, IActorStateStorage
from agent_runtime_nb.testing.storage_kit.check import Outcome, check_storage
from agent_runtime_nb.testing.storage_kit.subject import (
    Recipe,
    Skipped,
    StorageUnderTest,
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


@contextlib.contextmanager
def _errors_in_one_line() -> Generator[None]:
    try:
        yield
    except AgentRuntimeError as error:
        typer.echo(f"agent-runtime-nb: {error}", err=True)
        raise typer.Exit(1) from error


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
    with _errors_in_one_line():
        if storage is not None:
            asyncio.run(_run_demo(storage))
            return
        with tempfile.TemporaryDirectory(prefix="agent-runtime-nb-") as folder:
            asyncio.run(_run_demo(str(Path(folder, "state.db"))))


async def _run_demo(storage: str) -> None:
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
    with _errors_in_one_line():
        command = load("agent_runtime_nb.http_api.__main__", "http")
    command.main(context.args)


# --- storage --------------------------------------------------------------------------

storage_app = typer.Typer(no_args_is_help=True)
app.add_typer(storage_app, name="storage", help="Look after a storage.")

_Url = Annotated[str, typer.Argument(help="A path, or a URL as in start(storage=...).")]


@storage_app.command("copy")
def copy(
    source: _Url,
    target: _Url,
    *,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what differs in the target.")
    ] = False,
) -> None:
    """Bring every conversation of SOURCE into TARGET, and verify it.

    Stop what uses either first. Broken off? Run it again: it goes on.
    """
    with _errors_in_one_line():
        from_, to = open_storage(source), open_storage(target)
        if isinstance(from_, SqliteStateStorage) and not Path(from_.location).exists():
            raise InvalidRequest("source", f"there is no file {from_.location}")
        report = asyncio.run(_copy(from_, to, overwrite=overwrite))
    typer.echo(
        f"{report.actors} conversations with {report.turns} turns and {report.values} "
        f"values are in {to.location}; {report.already_there} were there already."
    )
    typer.echo(f"The same on both sides: SHA-256 {report.sha256}")
    for actor_id, why in report.left_out:
        name = _printable(actor_id)
        typer.echo(f"agent-runtime-nb: {name} was left out: {why}", err=True)
    if report.left_out:
        raise typer.Exit(1)


async def _copy(
    source: IActorStateStorage, target: IActorStateStorage, *, overwrite: bool
) -> CopyReport:
    with contextlib.ExitStack() as stack:
        bars: list[Any] = []

        def show(done: int, total: int) -> None:
            if not bars:
                bar = typer.progressbar(length=total, label="Conversations")
                bars.append(stack.enter_context(bar))
            bars[0].update(done - bars[0].pos)

        return await copy_storage(source, target, overwrite=overwrite, on_progress=show)


def _printable(stored: StoredId) -> str:
    text = str(stored)
    return text if text.isprintable() else ascii(text)


@storage_app.command("check")
def check(
    url: _Url,
    *,
    delete_unreadable: Annotated[
        bool,
        typer.Option(
            "--delete-unreadable", help="Delete what is stored under no valid id."
        ),
    ] = False,
) -> None:
    """Look for what cannot be read, and run the storage contract beside what is kept.

    Found is what is stored under no valid id. The cases of the contract use actors of
    their own and delete them again.
    """
    with _errors_in_one_line():
        subject = _StorageAtUrl(url)
        typer.echo(f"The storage contract on {subject.location}")
        found = asyncio.run(subject.unreadable(delete=delete_unreadable))
        for stored in found:
            done = "was deleted" if delete_unreadable else "cannot be read"
            typer.echo(f"{done}, for that is no id: {_printable(stored)}")
        report = asyncio.run(check_storage(subject, on_outcome=_show_outcome))
    typer.echo(str(report).splitlines()[-1])
    if report.of("skipped"):
        typer.echo(
            "Skipped is what needs a server to be broken or a host to be killed."
        )
    if found and not delete_unreadable:
        typer.echo("Run it with --delete-unreadable to delete what cannot be read.")
        raise typer.Exit(1)
    if not report.ok:
        raise typer.Exit(1)


def _show_outcome(outcome: Outcome) -> None:
    typer.echo(f"{outcome.seconds:7.2f} s  {outcome}")


class _StorageAtUrl(StorageUnderTest):
    """The storage that a URL names."""

    def __init__(self, url: str) -> None:
        first = open_storage(url)
        self.location = first.location
        self.persistent = first.durable
        self.secrets = _secrets_of(url)
        self.largest_value = getattr(first, "largest_value", self.largest_value)
        self._url = url
        self._first = first

    async def unreadable(self, *, delete: bool) -> list[StoredId]:
        """What is stored under no valid id, in order; deleted, if that is wanted.

        Also opens the storage first, so that a failure is reported once, not by every case.
        """
        storage = self.make()
        await storage.open(HostInfo(uuid.uuid4().hex, "storage check"))
        try:
            found: set[StoredId] = set()
            after: str | None = None
            while True:
                page = await storage.list_actors(after=after)
                found.update(page.unreadable)
                after = page.next
                if after is None:
                    break
            for stored in found if delete else ():
                await storage.delete_unreadable(stored)
            return sorted(found)
        finally:
            await storage.close()

    def make(self) -> IActorStateStorage:
        if isinstance(self._first, InMemoryStateStorage):
            return InMemoryStateStorage(like=self._first)
        return open_storage(self._url)

    def recipe(self) -> Recipe:
        if not self.persistent:
            raise Skipped("it lives in one process")
        return Recipe("agent_runtime_nb.storage.urls:open_storage", (self._url,))


def _secrets_of(url: str) -> tuple[str, ...]:
    """The password of a URL, or the key of a cosmos: one, as written and unquoted."""
    scheme, _, rest = url.partition("://")
    _, colon, password = rest.rpartition("@")[0].rpartition(":")
    if not password or (not colon and scheme != "cosmos"):
        return ()
    return tuple({password, unquote(password)})
