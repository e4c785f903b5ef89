"""The chat panel: one conversation with an agent, in a cell.

The panel holds an `IActorClient` to talk and a `RuntimeDirectory` to look. It is only a
view: the actor owns the conversation, so any number of panels, other programs, and the
panel of yesterday show the same.

Messages of a front end, all with `type`; ids are made by the front end, and make a
message safe to send twice. Those about the conversation that the page shows carry its
`instance_id`, as another page may have switched; it must be there in the first six:

    rename     name                       a name for people, or null
    delete                                a conversation and all that is stored of it
    forget                                the same, but the panel stays there
    disallow   tool                       ask again before this tool runs
    export     format                     "markdown", "json" or "notebook"
    switch                                show another conversation
    send       message_id, text, media    a new request; images as data URIs
    stop       message_id                 cancel a running turn, withdraw a waiting one
    retry      turn                       run it again in its place
    discard    turn                       the model does not see it any more
    answer     turn, request_id, decision, reason     "once", "conversation" or "deny"
    edit       turn, message_id, text, media          in a fork from before that turn
    earlier    before                     a page of turns before that position
    new                                   show a new conversation
    list       search, after              the conversations of this actor type
    freeze, saved_data                    see `FreezableWidget`
    side_channel  origin, state           see `PanelSideChannel`
    module     name                       see `LazyModules`
    ping, resync                          see `LiveWidget`

Messages to it: snapshot, batch, pong, and as direct answers `refused` (what was not
done, and why), `page`, `conversations`, `export` and `done`.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from weakref import WeakSet

from agent_runtime_nb.exceptions import AgentRuntimeError, InvalidRequest
from agent_runtime_nb.runtime_abstractions import ActorId, IActorClient
from agent_runtime_nb.runtime_directory import ConversationInfo, RuntimeDirectory
from agent_runtime_nb.side_channel.channel import SideChannel
from agent_runtime_nb.widgets.channel import SHARED_BUDGET, MessageBudget
from agent_runtime_nb.widgets.chat_panel.frozen import TranscriptCopy, read_transcript
from agent_runtime_nb.widgets.chat_panel.markdown import transcript_markdown
from agent_runtime_nb.widgets.chat_panel.menu import PAGE, ConversationMenu
from agent_runtime_nb.widgets.chat_panel.panel_state import PanelState
from agent_runtime_nb.widgets.chat_panel.requests import Requests
from agent_runtime_nb.widgets.chat_panel.side_channel import PanelSideChannel
from agent_runtime_nb.widgets.chat_panel.transcript import Transcript
from agent_runtime_nb.widgets.chat_panel.turn import Emit
from agent_runtime_nb.widgets.freezable import FreezableWidget
from agent_runtime_nb.widgets.lazy_modules import LazyModules
from agent_runtime_nb.widgets.live_widget import is_over
from agent_runtime_nb.widgets.pacing import paced

_STATIC = Path(__file__).parents[1] / "static"
_READING = frozenset({"earlier", "list", "switch", "export", "module", "side_channel"})
_SETTLES = 0.2  # seconds in which the watch tells what a look at the directory has seen

_log = logging.getLogger(__name__)
_panels: "WeakSet[ChatPanel]" = WeakSet()  # of this process, made on any thread
_panels_lock = threading.Lock()


class ChatPanel(FreezableWidget):
    """A chat with one actor, for the output of a cell or any ipywidgets container.

    Args:
        client: to talk to the actor.
        directory: to read its conversation and to list others of its type.
        actor_id: the conversation; it need not exist yet.
        title: the heading; None is the actor's type name.
        starters: messages offered while the conversation is empty.
        read_only: the panel shows conversations; nothing can be sent, answered or
            changed with it.
        new_conversation: makes the id of a new conversation, called on the widget's loop;
            None names them by the time of day.
        loop: the event loop on which all tasks of the panel run; None is the running
            one. Give the runtime's.
        lease: seconds after which a panel that nobody displays stops watching.
        budget: of messages to the front end.
        patience: seconds after which a turn that does not end when it is stopped is
            said not to react.
        refresh: seconds after which the panel looks for what no watch tells: a new
            name, a deletion, a discarded turn.
        side_channel: for Stop and approvals while a cell blocks the widget channel.
        **options: those of `FreezableWidget`, such as `freeze="turn"`, and ipywidgets'
            own, such as `layout`.

    Closing the panel ends its tasks and never a turn.
    """

    _esm = _STATIC / "chat_panel.js"
    _css = _STATIC / "chat_panel.css"

    def __init__(
        self,
        client: IActorClient,
        directory: RuntimeDirectory,
        actor_id: ActorId,
        *,
        title: str | None = None,
        starters: Sequence[str] = (),
        read_only: bool = False,
        new_conversation: Callable[[], ActorId] | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
        lease: float = 150.0,
        budget: MessageBudget = SHARED_BUDGET,
        patience: float = 5.0,
        refresh: float = 20.0,
        side_channel: SideChannel | None = None,
        **options: Any,
    ) -> None:
        self._title = title or actor_id.type_name
        self._starters = list(starters)
        self._read_only = read_only
        self._refresh = refresh
        self._check_now = asyncio.Event()
        self._relatives_known = False
        self._phase: dict[str, Any] = {"phase": "loading", "storage": ""}
        self._noted = _noted(None)
        self._state = PanelState(
            client,
            directory,
            actor_id,
            Transcript(keep=PAGE),
            change=self._change,
            post=self._post,
            spawn=self._spawn,
            show=self._switch,
            changed=self._notify_panels,
            decided=self._notify_decision,
        )
        self._menu = ConversationMenu(self._state, new_conversation)
        self._requests = Requests(self._state, patience)
        self._side_channel = PanelSideChannel(
            self._state,
            None if read_only else side_channel,
            call=self._call,
            receive=self._receive,
            keep_alive=self._attach,
        )
        self._handlers = {
            **self._requests.handlers,
            **self._menu.handlers,
            **self._side_channel.handlers,
            **LazyModules(self._post).handlers,
        }
        super().__init__(loop=loop, wait=0.07, lease=lease, budget=budget, **options)
        # Nobody is to call a panel that could not be made.
        self._side_channel.open()
        with _panels_lock:
            _panels.add(self)

    def __repr__(self) -> str:
        name, count = str(self.actor_id), len(self._transcript)
        if not self._transcript.loaded:
            return f"ChatPanel({name!r})"
        turns = f"{count} turn{'' if count == 1 else 's'}" if count else "no turns yet"
        return f"ChatPanel({name!r}, {turns})"

    @property
    def actor_id(self) -> ActorId:
        """The conversation that is shown now."""
        return self._state.actor_id

    @property
    def _transcript(self) -> Transcript:
        return self._state.transcript

    def to_markdown(self) -> str:
        """The newest turns as Markdown; any thread."""
        snapshot = self.channel.snapshot()
        title = f"{self._title} · {snapshot['name'] or snapshot['instance_id']}"
        return transcript_markdown(title, snapshot["turns"])

    def show_conversation(self, instance_id: str) -> None:
        """Show another conversation of the same actor type; any thread.

        Raises:
            InvalidActorId: if it is no instance id.
        """
        self._call(self._switch, self._state.named(instance_id))

    def look_again(self) -> None:
        """Look soon for what no watch tells: a name, a deletion, a fork; any thread."""
        self._call(self._check_all)

    def _shown(self) -> TranscriptCopy:
        shown = self.channel.snapshot()
        turns, more = shown["turns"], shown["more"]
        return TranscriptCopy(self.actor_id, self._title, turns, more, shown["name"])

    async def _read_transcript(self) -> TranscriptCopy:
        directory = self._state.directory
        return await read_transcript(directory, self.actor_id, self._title)

    # --- the picture ------------------------------------------------------------------

    def _describe(self) -> dict[str, Any]:
        return {
            "type_name": self.actor_id.type_name,
            "instance_id": self.actor_id.instance_id,
            "title": self._title,
            "starters": self._starters,
            "read_only": self._read_only,
            **self._noted,
            **self._phase,
            **self._transcript.to_json(),
        }

    async def _follow(self) -> None:
        """Follow the conversation; a runtime that is away is asked again.

        One that was stopped is asked no more than the front ends say that they are
        there: each of their messages begins this anew.
        """
        pause = 0.5
        while True:
            try:
                await self._load()
                pause = 0.5
                await self._watch()  # its end says nothing: loading again tells why
            except AgentRuntimeError as error:
                if is_over(error):
                    self._enter("stopped", "")
                    return
                self._enter("offline", str(error))
            await asyncio.sleep(pause)
            pause = min(pause * 2, 10.0)

    async def _load(self) -> None:
        view = await self._state.directory.read_actor(self.actor_id, limit=PAGE)
        health = await self._state.directory.health()
        since = None if health.since is None else health.since.timestamp()
        with self.channel.change():
            self._transcript.load(view, since)
            self._phase = {"phase": "live", "storage": health.storage}
            self._noted = {**_noted(view.info), "branches": self._noted["branches"]}
        self._cursor = view.cursor
        self._loaded.set()
        self.channel.publish_snapshot()
        self._transcript_changed()

    async def _watch(self) -> None:
        """Follow the turns, until the watch ends."""
        polling = self._spawn(self._poll_directory(), "poll directory")
        try:
            watch = self._state.client.watch_actor(self.actor_id, self._cursor)
            async for update in paced(watch, self.channel.rest):
                with self.channel.change() as emit:
                    self._transcript.apply(update, emit)
                if update.kind == "ended":
                    self._check_now.set()
                    self._transcript_changed()
        finally:
            polling.cancel()

    async def _poll_directory(self) -> None:
        """Notice what no watch tells, now and then and when somebody says so."""
        self._check_all()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._refresh):
                    await self._check_now.wait()
            self._check_now.clear()
            with contextlib.suppress(AgentRuntimeError):  # then the watch tells why
                await self._check_for_changes()

    async def _check_for_changes(self) -> None:
        view = await self._state.directory.read_actor(self.actor_id, limit=2)
        if not self._transcript.agrees_with(view):
            await asyncio.sleep(_SETTLES)
        if not self._transcript.agrees_with(view):
            self._refollow()
            return
        branches = self._noted["branches"]
        if not self._relatives_known:
            self._relatives_known = True
            branches = await self._menu.branches()
        self._note({**_noted(view.info), "branches": branches})

    def _check_all(self) -> None:
        self._relatives_known = False
        self._check_now.set()

    def _note(self, noted: dict[str, Any]) -> None:
        """Take over what is known of the conversation as a whole."""
        changed = {key: noted[key] for key in noted if noted[key] != self._noted[key]}
        if changed:
            with self.channel.change() as emit:
                self._noted = noted
                emit({"op": "panel", "set": changed})

    def _change(self) -> AbstractContextManager[Emit]:
        return self.channel.change()

    def _enter(self, phase: str, detail: str) -> None:
        entered = {**self._phase, "phase": phase, "detail": detail}
        if entered == self._phase:
            return
        with self.channel.change() as emit:
            self._phase = entered
            emit({"op": "panel", "set": dict(entered)})

    # --- what the person does ---------------------------------------------------------

    def _on_message(self, kind: str, content: dict[str, Any]) -> None:
        handler = self._handlers.get(kind)
        if handler is None:
            _log.warning("the chat panel does not know the message %r", kind)
            return
        if self._read_only and kind not in _READING:
            problem = "is read-only here; open it in another panel to change it"
            error = InvalidRequest("the conversation", problem)
            self._state.refuse(str(content.get("message_id") or ""), error, kind)
            return
        try:
            handler(content)
        except (KeyError, TypeError, ValueError) as error:
            _log.warning("the chat panel cannot use a %s message: %s", kind, error)

    def _switch(self, actor_id: ActorId) -> None:
        if self._ended or actor_id == self.actor_id:
            return
        with self.channel.change():
            self._state.actor_id = actor_id
            self._state.transcript = Transcript(keep=PAGE)
            self._phase = {**self._phase, "phase": "loading"}
            self._noted = _noted(None)
        self.channel.publish_snapshot()
        self._side_channel.changed()
        self._refollow()

    def _shut(self) -> None:
        self._side_channel.close()
        super()._shut()

    # --- other panels -----------------------------------------------------------------

    def _notify_decision(self, actor_id: ActorId, *decision: Any) -> None:
        """Somebody decided about a part of what a turn asks for."""
        for panel in _all_panels():
            if panel is not self and panel.actor_id == actor_id:
                panel.note_decision(*decision)

    def note_decision(self, *decision: Any) -> None:
        """Show what was decided in another panel; any thread."""
        self._call(self._requests.mark, *decision)

    def _notify_panels(self, actor_id: ActorId) -> None:
        """A conversation was changed: all that may show it or its relatives look."""
        for panel in _all_panels():
            if panel.actor_id.type_name == actor_id.type_name:
                panel.look_again()


def _all_panels() -> "list[ChatPanel]":
    with _panels_lock:
        return list(_panels)


def _noted(info: ConversationInfo | None) -> dict[str, Any]:
    """What the picture has of a conversation as a whole."""
    return {
        "name": None if info is None else info.name,
        "branches": [],
        "allowed_tools": [] if info is None else list(info.allowed_tools),
    }
