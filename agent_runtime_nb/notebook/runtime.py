"""`NotebookRuntime`: what a notebook holds of its runtime."""

import asyncio
import atexit
import contextlib
import os
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime
from typing import Any, TypeVar

from agent_runtime_nb._base.extras import load
from agent_runtime_nb.conversations.json_format import import_conversation
from agent_runtime_nb.exceptions import InvalidRequest, NotRunning
from agent_runtime_nb.hosting import Host, HostedAgent
from agent_runtime_nb.notebook.answers import Answer, AnswerStream, Pending
from agent_runtime_nb.notebook.conversation_name import conversation_of_notebook
from agent_runtime_nb.notebook.conversations import (
    ConversationTable,
    all_dead_letters,
    answer_again,
    conversation_table,
    export_conversation,
    export_path,
    read_exported,
    requeue_letter,
)
from agent_runtime_nb.notebook.loop import RuntimeLoop
from agent_runtime_nb.notebook.opening import (
    OpeningClient,
    OpeningDirectory,
    StorageOpening,
    without_traceback,
)
from agent_runtime_nb.notebook.tables import as_html, as_text
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorResponseHandle,
    IActorClient,
)
from agent_runtime_nb.runtime_directory import (
    DeadLetterInfo,
    RuntimeDirectory,
)
from agent_runtime_nb.side_channel.channel import ServerSideChannel
from agent_runtime_nb.storage_abstractions import (
    IActorStateStorage,
)
from agent_runtime_nb.supervision import OnInterrupted, RestartPolicy

T = TypeVar("T")

Contents = str | Sequence[Mapping[str, Any]]
"""A message: text, or the framework's content parts as dicts."""

_NOT_GIVEN: Any = ()
"""Instead of None, which a variable may hold by mistake."""

EXIT_GRACE = 1.5
"""Seconds for closing when the process ends; a kernel is killed soon after."""


class NotebookRuntime:
    """A runtime with agents, as a notebook uses it; `start()` makes it.

    The storage opens in the background: everything here may be used at once, waits
    for that, and raises what went wrong. What is asked goes on if the cell that waits
    for it is interrupted. `agent` is an agent's name in either form, or the object
    that was given to `start()`; it may be left out if there is only one. `conversation`
    is a conversation's name; without it, the notebook's own.

    Args:
        host: what is hosted, not started.
        runtime_loop: the loop that it runs on.
        after: what must have ended before it starts.
    """

    def __init__(
        self,
        host: Host,
        runtime_loop: RuntimeLoop,
        *,
        after: "Future[None] | None" = None,
    ) -> None:
        self._host = host
        self._runtime_loop = runtime_loop
        self._conversation = conversation_of_notebook()
        self._conversations: dict[str, str] = {}
        self._new_names: set[tuple[str, str]] = set()
        self._server: Any = None
        self._served: tuple[int, str | None, dict[str, Any]] | None = None
        self._side_channel = ServerSideChannel(
            has_own_thread=runtime_loop.kind == "thread"
        )
        self._stopped: Future[None] | None = None
        self._opened = runtime_loop.submit(self._open(after), name="open")
        opening = StorageOpening(self._opened)
        self._client = OpeningClient(host.client, opening)
        self._directory = OpeningDirectory(host.runtime, opening)
        atexit.register(self._at_exit)

    # --- what it has ------------------------------------------------------------------

    @property
    def agents(self) -> Mapping[str, HostedAgent]:
        """The hosted agents by type name."""
        return self._host.agents

    @property
    def runtime(self) -> InProcessActorRuntime:
        """The runtime itself, for actors written by hand."""
        return self._host.runtime

    @property
    def client(self) -> IActorClient:
        """Talks to any actor of the runtime."""
        return self._client

    @property
    def directory(self) -> RuntimeDirectory:
        """Lists and manages the actors of the runtime."""
        return self._directory

    @property
    def storage(self) -> IActorStateStorage:
        """Where the conversations are kept."""
        return self._host.storage

    @property
    def loop(self) -> str:  # no Literal: jedi fails at it, and Tab shows nothing at all
        """The loop that it lives on: "notebook", or "thread", one of its own."""
        return self._runtime_loop.kind

    # --- talking ----------------------------------------------------------------------

    def ask(
        self,
        agent: Any,
        text: Contents = _NOT_GIVEN,
        /,
        *,
        conversation: str | None = None,
        timeout: float | None = None,
    ) -> Pending[Answer]:
        """Ask an agent; `await` the result for its `Answer`.

        The request is sent at once, whether or not anybody awaits it.

        Args:
            agent: who is asked; see the class. `ask(text)` asks the only one.
            text: the message.
            conversation: its name.
            timeout: seconds in which the turn must end, else it fails.

        Raises:
            UnknownActorType, InvalidRequest, InvalidActorId: at once.
            TurnFailed: awaited, if the turn does not complete.
            AgentRuntimeError: awaited, whatever `IActorClient.send_request` raises.
        """
        return self._ask(agent, text, conversation, timeout)

    def ask_sync(
        self,
        agent: Any,
        text: Contents = _NOT_GIVEN,
        /,
        *,
        conversation: str | None = None,
        timeout: float | None = None,
    ) -> Answer:
        """As `ask`, without `await`: for scripts, threads and synchronous code.

        In a cell on the notebook's own loop it lets that loop run nested, for which
        asyncio is patched (nest-asyncio2) when this is first needed; `await rt.ask()`
        needs no patch.

        Raises:
            LoopBlocked: if the loop gives no sign of life for 10 s, as when a cell
                waits for the thread that calls this; nothing was sent then.
        """
        return self._ask(agent, text, conversation, timeout).wait()

    def stream(
        self,
        agent: Any,
        text: Contents = _NOT_GIVEN,
        /,
        *,
        conversation: str | None = None,
        timeout: float | None = None,
    ) -> AnswerStream:
        """Ask an agent and follow its answer: `async for update in rt.stream(...)`.

        Arguments and errors as `ask`; `TurnFailed` comes at the end of the updates.
        """
        actor_id, message = self._address(agent, text, conversation)
        sent = self._submit(self._send(actor_id, message, timeout), "stream")
        return AnswerStream(sent, f"stream {actor_id}")

    def new_conversation(self, agent: Any = None) -> str:
        """Begin a new conversation with an agent; the earlier ones stay stored.

        Returns:
            Its name, which is from now on the one used if none is given.
        """
        type_name = self._host.find(agent)
        base = name = f"{self._conversation} {datetime.now():%Y-%m-%d %H.%M.%S}"  # noqa: DTZ005 - a person's wall clock
        number = 1
        while (type_name, name) in self._new_names:
            number += 1
            name = f"{base} ({number})"
        self._new_names.add((type_name, name))
        self._conversations[type_name] = name
        return name

    # --- conversations ----------------------------------------------------------------

    def conversations(self, agent: Any = None) -> Pending[ConversationTable]:
        """The stored conversations, of all agents if none is given."""
        type_name = None if agent is None else self._actor_id(agent, None).type_name
        work = conversation_table(self.directory, type_name)
        return self._pending(work, "conversations")

    def rename(
        self, name: str | None, agent: Any = None, *, conversation: str | None = None
    ) -> Pending[None]:
        """Give a conversation a name for people, or take it away (None)."""
        actor_id = self._actor_id(agent, conversation)
        return self._pending(self.directory.rename(actor_id, name), "rename")

    def fork(
        self,
        agent: Any = None,
        *,
        conversation: str | None = None,
        at: str | None = None,
        before: str | None = None,
    ) -> Pending[str]:
        """Make a new conversation that begins as this one; await it for its name.

        Args:
            agent: whose conversation.
            conversation: its name; it stays as it is.
            at: the message id of the last request that is copied; None: all.
            before: of the first one that is not copied, instead of `at`.
        """
        actor_id = self._actor_id(agent, conversation)

        async def work() -> str:
            fork = await self.directory.fork(actor_id, at=at, before=before)
            return fork.instance_id

        return self._pending(work(), "fork")

    def delete(
        self, agent: Any = None, *, conversation: str | None = None
    ) -> Pending[bool]:
        """Delete a conversation with all its turns; whether there was one."""
        actor_id = self._actor_id(agent, conversation)
        return self._pending(self.directory.delete_actor(actor_id), "delete")

    def export(
        self,
        path: str | os.PathLike[str] | None = None,
        agent: Any = None,
        *,
        conversation: str | None = None,
    ) -> Pending[str]:
        """Write a conversation down; await it for the text.

        Args:
            path: the file; its ending says the form: `.md`, `.ipynb`, or `.json`, which
                `import_conversation` takes. None: no file, Markdown.
            agent: whose conversation.
            conversation: its name.

        Raises:
            InvalidRequest: at once, if the ending is another one.
        """
        actor_id = self._actor_id(agent, conversation)
        file = None if path is None else export_path(path)
        work = export_conversation(self.directory, actor_id, file)
        return self._pending(work, "export")

    def import_conversation(
        self, path: str | os.PathLike[str], *, conversation: str | None = None
    ) -> Pending[str]:
        """Make a conversation of an exported `.json` file; await it for its name.

        Raises:
            OSError, InvalidRequest: at once, if the file cannot be read or is
                something else.
            InvalidRequest: awaited, if the conversation exists; give it another name
                with `conversation`.
        """
        data, to = read_exported(path, conversation)

        async def work() -> str:
            made = await import_conversation(self.directory, data, to=to)
            return made.instance_id

        return self._pending(work(), "import")

    # --- requests that did not go well ------------------------------------------------

    def run_again(
        self, message_id: str, agent: Any = None, *, conversation: str | None = None
    ) -> Pending[Answer]:
        """Send a request that has ended once more, in its place; await the answer."""
        actor_id = self._actor_id(agent, conversation)
        work = answer_again(self.client, self.directory, actor_id, message_id)
        return self._pending(work, "run again")

    def discard(
        self, message_id: str, agent: Any = None, *, conversation: str | None = None
    ) -> Pending[bool]:
        """Take a turn that did not complete out of what the model sees."""
        actor_id = self._actor_id(agent, conversation)
        return self._pending(self.directory.discard(actor_id, message_id), "discard")

    def dead_letters(self, agent: Any = None) -> Pending[tuple[DeadLetterInfo, ...]]:
        """Requests that are not begun again, with the reason; `requeue` sends one."""
        type_name = None if agent is None else self._actor_id(agent, None).type_name
        work = all_dead_letters(self.directory, type_name)
        return self._pending(work, "dead letters")

    def requeue(self, letter: DeadLetterInfo | str) -> Pending[str]:
        """Send a dead letter again; await it for the new request's message id.

        Args:
            letter: one that `dead_letters` gave, or its message id.

        Raises:
            InvalidRequest: awaited, if no dead letter, or more than one, has this id.
        """
        return self._pending(requeue_letter(self.directory, letter), "requeue")

    def revive(
        self, agent: Any = None, *, conversation: str | None = None
    ) -> Pending[bool]:
        """End the quarantine of an actor that failed too often."""
        actor_id = self._actor_id(agent, conversation)
        return self._pending(self.directory.revive(actor_id), "revive")

    # --- views ------------------------------------------------------------------------

    def chat(
        self,
        agent: Any = None,
        conversation: str | None = None,
        *,
        starters: Sequence[str] = (),
        read_only: bool = False,
        **options: Any,
    ) -> Any:
        """A chat panel for a conversation.

        Args:
            agent: who is talked to; it may be left out if there is only one.
            conversation: its name; None: the notebook's own.
            starters: messages that are offered while the conversation is empty.
            read_only: the panel shows conversations and changes nothing.
            options: the further ones of `ChatPanel`, as `title` or `freeze="turn"`.
        """
        self._check_life()
        actor_id = self._actor_id(agent, conversation)
        panel = load("agent_runtime_nb.widgets.chat_panel.panel", "lab").ChatPanel
        options = {
            "loop": self._runtime_loop.loop,
            "side_channel": self._side_channel,
            "starters": starters,
            "read_only": read_only,
            **options,
        }
        return panel(self._client, self._directory, actor_id, **options)

    def dashboard(self, **options: Any) -> Any:
        """A live board of all actors; `options` are those of `ActorDashboard`."""
        self._check_life()
        board = load(
            "agent_runtime_nb.widgets.actor_dashboard.dashboard", "lab"
        ).ActorDashboard
        return board(self._directory, loop=self._runtime_loop.loop, **options)

    def serve(self, port: int = 0, token: str | None = None, **options: Any) -> Any:
        """Serve the agents over HTTP on this machine, from a thread of this process.

        Args:
            port: 0 takes a free one.
            token: what callers must send; made if None.
            options: those of `EmbeddedServer`, as `allowed_hosts` behind a proxy.

        Returns:
            The `EmbeddedServer`; the same one if it serves already.

        Raises:
            InvalidRequest: if it serves already, and otherwise than is asked for.
            MissingExtra: without the extra `http`.
            NotRunning: if it was stopped; so do `chat` and `dashboard`.
        """
        self._check_life()
        asked = (port, token, options)
        if self._server is not None and self._server.running:
            if asked not in (self._served, (0, None, {})):
                problem = f"it serves at {self._server.url} already: stop() that first"
                raise InvalidRequest("serve", problem)
        else:
            server = load("agent_runtime_nb.http_api.server", "http").EmbeddedServer
            self._server = server(
                self._client,
                self._directory,
                port=port,
                token=token,
                example_agent=next(iter(self.agents), "echo"),
                **options,
            )
            self._side_channel.use(self._server)
            self._server.start()
            self._served = asked
        return self._server

    # --- life -------------------------------------------------------------------------

    def ready(self) -> Pending[None]:
        """Await it to know that the storage is open, or what went wrong."""
        return Pending(self._opened, self._runtime_loop, "opening the storage")

    def stop(self, *, drain: float = 10.0) -> Pending[None]:
        """Stop serving and hosting; await it to know that all is closed.

        Args:
            drain: seconds that running turns get to end by themselves.
        """
        if self._stopped is None:
            self._stopped = self._runtime_loop.submit(self._close(drain), name="stop")
            atexit.unregister(self._at_exit)
        return Pending(self._stopped, self._runtime_loop, "stopping")

    @property
    def is_usable(self) -> bool:
        """Whether it hosts or is about to: not failed, not stopped, loop alive."""
        failed = self._opened.done() and self._opened.exception() is not None
        return not (failed or self._stopped or self._runtime_loop.loop.is_closed())

    def end(self) -> "Future[None] | None":
        """Stop it if it is not stopped; what to wait for before another may start."""
        if self._runtime_loop.loop.is_closed():
            # Nobody has called stop(); what is open must not seem alive any more.
            runtime_loop = RuntimeLoop.find("thread")
            return runtime_loop.submit(self._release(runtime_loop), name="release")
        self.stop()
        return self._stopped

    def add(
        self,
        *agents: Any,
        on_interrupted: OnInterrupted | None = None,
        restart: RestartPolicy | None = None,
    ) -> None:
        """Host these agents too; those of a known name serve from the next turn on.

        `on_interrupted` or `restart` None: as it was given to the first `start`.
        """
        self._host.add(*agents, on_interrupted=on_interrupted, restart=restart)

    async def _open(self, after: "Future[None] | None") -> None:
        if after is not None:
            with contextlib.suppress(Exception):
                await asyncio.wrap_future(after)
        await without_traceback(self._host.start())

    async def _close(self, drain: float) -> None:
        with contextlib.suppress(Exception):
            await asyncio.wrap_future(self._opened)
        try:
            try:
                if self._server is not None and self._server.running:
                    await asyncio.to_thread(self._server.stop)
            finally:
                await self._host.stop(drain=drain)
        finally:
            await self._runtime_loop.leave()

    async def _release(self, runtime_loop: RuntimeLoop) -> None:
        try:
            if self._server is not None:
                await asyncio.to_thread(self._server.stop)
            await self.storage.close()
        finally:
            await runtime_loop.leave()

    def _at_exit(self) -> None:
        # What is not closed in time is found as a dead host's by the next start.
        loop = self._runtime_loop.loop
        with contextlib.suppress(Exception):
            if self._runtime_loop.kind == "thread":
                self.stop(drain=0.0)
                if self._stopped is not None:
                    self._stopped.result(timeout=EXIT_GRACE)
            elif not loop.is_running() and not loop.is_closed():
                loop.run_until_complete(asyncio.wait_for(self._close(0.0), EXIT_GRACE))

    # --- helpers ----------------------------------------------------------------------

    def _check_life(self) -> None:
        """Raise what went wrong when it opened, or that it was stopped."""
        if self._opened.done() and (error := self._opened.exception()) is not None:
            raise error.with_traceback(None)
        if self._stopped is not None or self._runtime_loop.loop.is_closed():
            raise NotRunning(self._state)

    def _submit(self, work: Any, name: str) -> "Future[Any]":
        try:
            self._check_life()
        except BaseException:
            work.close()
            raise
        return self._runtime_loop.submit(work, name=name)

    def _pending(self, work: Coroutine[Any, Any, T], name: str) -> Pending[T]:
        return Pending(self._submit(work, name), self._runtime_loop, name)

    def _ask(
        self,
        agent: Any,
        text: Contents,
        conversation: str | None,
        timeout: float | None,
    ) -> Pending[Answer]:
        actor_id, message = self._address(agent, text, conversation)

        async def ask() -> Answer:
            handle = await self._send(actor_id, message, timeout)
            return Answer.of(await handle.get_response())

        return Pending(
            self._submit(ask(), "ask"), self._runtime_loop, f"ask {actor_id}"
        )

    def _address(
        self, agent: Any, text: Contents, conversation: str | None
    ) -> tuple[ActorId, Contents]:
        if text is _NOT_GIVEN:
            agent, text = None, agent
        return self._actor_id(agent, conversation), text

    def _actor_id(self, agent: Any, conversation: str | None) -> ActorId:
        type_name = self._host.find(agent)
        if conversation is None:
            conversation = self._conversations.get(type_name, self._conversation)
        return ActorId(type_name, conversation)

    async def _send(
        self, actor_id: ActorId, message: Contents, timeout: float | None
    ) -> ActorResponseHandle:
        params = {"messages": [{"role": "user", "content": message}]}
        return await self._client.send_request(actor_id, "run", params, timeout=timeout)

    # --- showing itself ---------------------------------------------------------------

    @property
    def _state(self) -> str:
        if self._runtime_loop.loop.is_closed():
            return "stopped"
        if self._stopped is not None:
            return "stopped" if self._stopped.done() else "stopping"
        if not self._opened.done():
            return "starting"
        error = self._opened.exception()
        return "running" if error is None else f"failed: {error}"

    def _facts(self) -> dict[str, str]:
        where = "the notebook's loop" if self.loop == "notebook" else "a thread"
        lasting = "" if self.storage.durable else " (gone when the process ends)"
        agent = next(iter(self.agents), "")
        facts = {
            "agents": ", ".join(self.agents) or "none yet",
            "storage": self.storage.location + lasting,
            "loop": where,
            "state": self._state,
            "next": f'rt.chat("{agent}")   rt.dashboard()   '
            f'await rt.ask("{agent}", "Hello")   rt.serve()'
            if agent
            else "start(agent): an agent, or a function f(message, history)",
        }
        if not self._opened.done():
            del facts["state"]  # a cell shows it for ever, and it is over in a moment
        return facts

    def __repr__(self) -> str:
        return as_text("NotebookRuntime", self._facts())

    def _repr_html_(self) -> str:
        return as_html("NotebookRuntime", self._facts())
