"""The chat panel: one conversation with an agent, in a cell.

The panel holds an `IActorClient` to talk and a `RuntimeDirectory` to look. It is only a
view: the actor owns the conversation, so any number of panels, other programs, and the
panel of yesterday show the same.

Messages of a front end, all with `type`:

    ping, resync                          see `LiveWidget`
    send       message_id, instance_id, text   a new request; safe to send twice
    stop       message_id                 cancel a waiting or running turn
    retry      turn, position, message_id   the same message again as a new request
    answer     turn, request_id, approved   of an approval request
    earlier    before                     a page of turns before that position
    list                                  the conversations of this actor type
    switch     instance_id                show another conversation
    new                                   show a new conversation

Messages to it: snapshot, batch, pong, and as direct answers `refused` (a request that
was not accepted), `page` and `conversations`.
"""

import asyncio
import logging
import secrets
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from agent_runtime_nb.exceptions import AgentRuntimeError, InvalidRequest
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    IActorClient,
)
from agent_runtime_nb.runtime_directory import (
    ActorSummary,
    RuntimeDirectory,
)
from agent_runtime_nb.sessions import RETRY_OF
from agent_runtime_nb.widgets._channel import SHARED_BUDGET, MessageBudget
from agent_runtime_nb.widgets._json import as_list, as_object
from agent_runtime_nb.widgets._live_widget import LiveWidget, is_over
from agent_runtime_nb.widgets._markdown import transcript_markdown
from agent_runtime_nb.widgets._transcript import Transcript
from agent_runtime_nb.widgets._turn import Turn

_STATIC = Path(__file__).parent / "static"
_MAX_TEXT = 1_000_000
_PAGE = 50

_log = logging.getLogger(__name__)


class ChatPanel(LiveWidget):
    """A chat with one actor, for the output of a cell or any ipywidgets container.

    Args:
        client: to talk to the actor.
        directory: to read its conversation and to list others of its type.
        actor_id: the conversation; it need not exist yet.
        title: the heading; None is the actor's type name.
        starters: messages offered while the conversation is empty.
        new_conversation: makes the id of a new conversation, called on the home loop;
            None names them by the time of day.
        loop: the home loop, on which all tasks of the panel run; None is the running
            one. Give the runtime's.
        lease: seconds after which a panel that nobody displays stops watching.
        budget: of messages to the front end.
        **options: ipywidgets' own, such as `layout`.

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
        new_conversation: Callable[[], ActorId] | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
        lease: float = 150.0,
        budget: MessageBudget = SHARED_BUDGET,
        **options: Any,
    ) -> None:
        self._client = client
        self._directory = directory
        self._actor_id = actor_id
        self._title = title or actor_id.type_name
        self._starters = list(starters)
        self._new_conversation = new_conversation or self._name_by_time
        self._transcript = Transcript(keep=_PAGE)
        self._phase: dict[str, Any] = {"phase": "loading", "storage": ""}
        super().__init__(loop=loop, wait=0.05, lease=lease, budget=budget, **options)

    def __repr__(self) -> str:
        name, count = str(self._actor_id), len(self._transcript)
        if not self._transcript.loaded:
            return f"ChatPanel({name!r})"
        turns = f"{count} turn{'' if count == 1 else 's'}" if count else "no turns yet"
        return f"ChatPanel({name!r}, {turns})"

    @property
    def actor_id(self) -> ActorId:
        """The conversation that is shown now."""
        return self._actor_id

    def to_markdown(self) -> str:
        """The newest turns as Markdown; any thread."""
        snapshot = self.channel.snapshot()
        title = f"{self._title} · {self._actor_id.instance_id}"
        return transcript_markdown(title, snapshot["turns"])

    def show_conversation(self, instance_id: str) -> None:
        """Show another conversation of the same actor type; any thread.

        Raises:
            InvalidActorId: if it is no instance id.
        """
        self._call(self._switch, ActorId(self._actor_id.type_name, instance_id))

    # --- the picture ------------------------------------------------------------------

    def _describe(self) -> dict[str, Any]:
        return {
            "type_name": self._actor_id.type_name,
            "instance_id": self._actor_id.instance_id,
            "title": self._title,
            "starters": self._starters,
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
        view = await self._directory.read_actor(self._actor_id, limit=_PAGE)
        health = await self._directory.health()
        with self.channel.change():
            self._transcript.load(view)
            self._phase = {"phase": "live", "storage": health.storage}
        self._cursor = view.cursor
        self._loaded.set()
        self.channel.publish_snapshot()

    async def _watch(self) -> None:
        async for update in self._client.watch_actor(self._actor_id, self._cursor):
            with self.channel.change() as tell:
                self._transcript.apply(update, tell)

    def _enter(self, phase: str, detail: str) -> None:
        entered = {**self._phase, "phase": phase, "detail": detail}
        if entered == self._phase:
            return
        with self.channel.change() as tell:
            self._phase = entered
            tell({"op": "panel", "set": dict(entered)})

    # --- what the person does ---------------------------------------------------------

    def _on_message(self, kind: str, content: dict[str, Any]) -> None:
        handler = {
            "send": self._on_send,
            "stop": self._on_stop,
            "retry": self._on_retry,
            "answer": self._on_answer,
            "earlier": self._on_earlier,
            "list": self._on_list,
            "switch": self._on_switch,
            "new": self._on_new,
        }.get(kind)
        if handler is None:
            _log.warning("the chat panel does not know the message %r", kind)
            return
        try:
            handler(content)
        except (KeyError, TypeError, ValueError) as error:
            _log.warning("the chat panel cannot use a %s message: %s", kind, error)

    def _on_send(self, content: dict[str, Any]) -> None:
        text, message_id = str(content["text"]), str(content["message_id"])
        # Another view may have switched to another conversation meanwhile.
        name = str(content.get("instance_id") or self._actor_id.instance_id)
        actor_id = ActorId(self._actor_id.type_name, name)
        if len(text) > _MAX_TEXT:
            problem = f"has {len(text):,} characters; at most {_MAX_TEXT:,} are sent"
            self._refuse(message_id, InvalidRequest("the message", problem))
            return
        message = {"role": "user", "content": text, "message_id": message_id}
        params = {"messages": [message]}
        work = self._request(actor_id, "run", params, message_id)
        self._spawn(_discard(work), "send")

    def _on_stop(self, content: dict[str, Any]) -> None:
        turn = self._transcript.turn(str(content["message_id"]))
        if turn is None or turn.facts["status"] not in ("waiting", "running"):
            return
        before = turn.facts["status"]
        with self.channel.change() as tell:
            self._transcript.set(turn, tell, status="stopping")
        self._spawn(self._stop(turn.message_id, before), "stop")

    async def _stop(self, message_id: str, before: str) -> None:
        try:
            stopped = await self._client.cancel(self._actor_id, message_id)
        except AgentRuntimeError as error:
            self._refuse(message_id, error)
            stopped = False
        turn = self._transcript.turn(message_id)
        if not stopped and turn is not None and turn.facts["status"] == "stopping":
            with self.channel.change() as tell:
                self._transcript.set(turn, tell, status=before)

    def _on_retry(self, content: dict[str, Any]) -> None:
        old_id, message_id = str(content["turn"]), str(content["message_id"])
        behind = int(content["position"]) + 1
        self._spawn(self._retry(self._actor_id, old_id, behind, message_id), "retry")

    async def _retry(
        self, actor_id: ActorId, old_id: str, behind: int, message_id: str
    ) -> None:
        """Send what the turn was asked, under new ids; `behind` is the next position.

        The turn may be older than those that are kept here.
        """
        try:
            view = await self._directory.read_actor(actor_id, before=behind, limit=1)
        except AgentRuntimeError as error:
            self._refuse(message_id, error)
            return
        for turn in view.turns:
            if turn.message_id == old_id:
                params = _with_new_ids(turn.params, message_id)
                retry = {RETRY_OF: old_id}
                await self._request(actor_id, turn.method, params, message_id, retry)

    def _on_answer(self, content: dict[str, Any]) -> None:
        """Note a decision; the answers go out once all questions are decided.

        The framework runs nothing until all are answered, and asks again for the rest.
        """
        turn = self._transcript.turn(str(content["turn"]))
        request_id = str(content["request_id"])
        asked = [] if turn is None else [one["id"] for one in turn.open_approvals]
        if turn is None or request_id not in asked:
            return
        with self.channel.change() as tell:
            turn.answer(request_id, tell, approved=content["approved"] is True)
        if not turn.open_approvals:
            self._spawn(self._answer(self._actor_id, turn), "answer")

    async def _answer(self, actor_id: ActorId, turn: Turn) -> None:
        items = [item for item in turn.items if item["kind"] == "approval"]
        contents = [_approval_response(turn.requests[i["id"]], i) for i in items]
        # The id follows from the turn, so two panels cannot answer twice.
        message_id = f"{turn.message_id}-answer"
        message = {"role": "user", "contents": contents, "message_id": message_id}
        params = {"messages": [message]}
        sent = await self._request(actor_id, "run", params, message_id)
        # Refused although it is there: another panel answered, and that is shown.
        if not sent and self._transcript.turn(message_id) is None:
            with self.channel.change() as tell:
                for item in items:
                    self._transcript.answer(item["id"], tell, approved=None)

    def _on_earlier(self, content: dict[str, Any]) -> None:
        before = int(content["before"])
        self._spawn(self._send_page(self._actor_id, before), "earlier")

    async def _send_page(self, actor_id: ActorId, before: int) -> None:
        try:
            view = await self._directory.read_actor(
                actor_id, before=before, limit=_PAGE
            )
        except AgentRuntimeError as error:
            self._refuse("", error)
            return
        page = self._transcript.page(view)
        name = actor_id.instance_id
        self._post({"type": "page", "instance_id": name, "before": before, **page})

    def _on_list(self, _content: dict[str, Any]) -> None:
        self._spawn(self._send_conversations(), "list")

    async def _send_conversations(self) -> None:
        type_name = self._actor_id.type_name
        try:
            page = await self._directory.list_actors(type_name, limit=100)
        except AgentRuntimeError as error:
            self._refuse("", error)
            return
        items = [_conversation(summary) for summary in page.items]
        self._post({"type": "conversations", "items": items})

    def _on_switch(self, content: dict[str, Any]) -> None:
        self._switch(ActorId(self._actor_id.type_name, str(content["instance_id"])))

    def _on_new(self, _content: dict[str, Any]) -> None:
        self._switch(self._new_conversation())

    def _switch(self, actor_id: ActorId) -> None:
        if self._ended or actor_id == self._actor_id:
            return
        with self.channel.change():
            self._actor_id = actor_id
            self._transcript = Transcript(keep=_PAGE)
            self._phase = {**self._phase, "phase": "loading"}
        self.channel.publish_snapshot()
        self._refollow()

    def _name_by_time(self) -> ActorId:
        # Local time on purpose: it is a name for people, and only has to be new.
        name = f"{datetime.now().astimezone():%Y-%m-%d %H.%M}-{secrets.token_hex(2)}"
        return ActorId(self._actor_id.type_name, name)

    # --- requests ---------------------------------------------------------------------

    async def _request(
        self,
        actor_id: ActorId,
        method: str,
        params: Any,
        message_id: str,
        metadata: dict[str, str] | None = None,
    ) -> bool:
        """Send a request; the turn itself comes back through the watch."""
        try:
            await self._client.send_request(
                actor_id, method, params, message_id, metadata=metadata
            )
        except AgentRuntimeError as error:
            self._refuse(message_id, error)
            return False
        return True

    def _refuse(self, message_id: str, error: AgentRuntimeError) -> None:
        described = {
            "type": type(error).__name__,
            "message": str(error),
            "retryable": error.retryable,
        }
        self._post({"type": "refused", "message_id": message_id, "error": described})


async def _discard(work: Any) -> None:
    await work


def _with_new_ids(params: Any, message_id: str) -> Any:
    """A copy of a request's params under which nothing is a duplicate."""
    request = as_object(params)
    messages = [as_object(message) for message in as_list(request.get("messages"))]
    if not messages:
        return params
    first = {**messages[0], "message_id": message_id}
    rest = [{**message, "message_id": uuid.uuid4().hex} for message in messages[1:]]
    return {**request, "messages": [first, *rest]}


def _approval_response(
    request: Mapping[str, Any], item: Mapping[str, Any]
) -> dict[str, Any]:
    """The framework's answer to an approval request, as its own JSON."""
    response = {key: request[key] for key in request if key != "user_input_request"}
    response["type"] = "function_approval_response"
    response["approved"] = item["answer"] is True
    return response


def _conversation(summary: ActorSummary) -> dict[str, Any]:
    return {
        "instance_id": summary.actor_id.instance_id,
        "activity": summary.activity,
        "turns": summary.turns,
    }
