"""What a person does with conversations in the chat panel."""

import hashlib
import json
import re
import secrets
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any

from agent_runtime_nb._base.untrusted_json import as_list
from agent_runtime_nb.conversations.export import to_markdown, to_notebook
from agent_runtime_nb.conversations.json_format import to_json
from agent_runtime_nb.conversations.reading import Conversation, read_conversation
from agent_runtime_nb.exceptions import AgentRuntimeError, InvalidRequest
from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.runtime_directory import ActorSummary, ConversationInfo
from agent_runtime_nb.widgets.chat_panel.attachments import user_message
from agent_runtime_nb.widgets.chat_panel.branches import Branch, branches_of
from agent_runtime_nb.widgets.chat_panel.panel_state import Handler, PanelState

PAGE = 50
"""Turns that a front end starts with, and of each earlier page."""

_LISTED = 100  # conversations of one answer
_SEARCHED = 2000  # conversations that one answer looks through
_RELATED = 1000  # conversations among which branches are looked for
_WRITERS: dict[str, tuple[str, str, Callable[[Conversation], Any]]] = {
    "markdown": ("text/markdown", "md", to_markdown),
    "json": ("application/json", "json", to_json),
    "notebook": ("application/x-ipynb+json", "ipynb", to_notebook),
}


class ConversationMenu:
    """Lists, switches, names, forks, exports and deletes, for one panel.

    Args:
        state: what the panel shows.
        new_conversation: makes the id of a new conversation; None names them by the
            time of day.
    """

    def __init__(
        self, state: PanelState, new_conversation: Callable[[], ActorId] | None
    ) -> None:
        self._state = state
        self._new_conversation = new_conversation
        self._edits: set[str] = set()
        self.handlers: dict[str, Handler] = {
            "earlier": self._on_earlier,
            "list": self._on_list,
            "switch": self._on_switch,
            "new": self._on_new,
            "edit": self._on_edit,
            "rename": self._on_rename,
            "delete": self._on_delete,
            "forget": self._on_forget,
            "disallow": self._on_disallow,
            "export": self._on_export,
        }

    def _do(self, what: str, work: Coroutine[Any, Any, None]) -> None:
        """Do it in a task; why it could not be done is posted."""

        async def work_or_refuse() -> None:
            try:
                await work
            except AgentRuntimeError as error:
                self._state.refuse("", error, what)

        self._state.spawn(work_or_refuse(), what)

    # --- look -------------------------------------------------------------------------

    def _on_earlier(self, content: dict[str, Any]) -> None:
        before = int(content["before"])
        self._do("earlier", self._send_page(self._state.actor_id, before))

    async def _send_page(self, actor_id: ActorId, before: int) -> None:
        view = await self._state.directory.read_actor(
            actor_id, before=before, limit=PAGE
        )
        page = self._state.transcript.page(view)
        name = actor_id.instance_id
        self._state.post(
            {"type": "page", "instance_id": name, "before": before, **page}
        )

    def _on_list(self, content: dict[str, Any]) -> None:
        search, after = content.get("search") or "", content.get("after")
        work = self._list(str(search), None if after is None else str(after))
        self._do("list", work)

    async def _list(self, search: str, after: str | None) -> None:
        """Answer with a page of the conversations that fit a search."""
        wanted = search.casefold()
        items: list[dict[str, Any]] = []
        looked_at = 0
        while True:
            page, after = await self._page_of_conversations(after)
            items += [one for one in page if _fits(one, wanted)]
            looked_at += len(page)
            if after is None or len(items) >= _LISTED or looked_at >= _SEARCHED:
                break
        self._state.post(
            {"type": "conversations", "items": items, "search": search, "next": after}
        )

    async def _page_of_conversations(
        self, after: str | None
    ) -> tuple[list[dict[str, Any]], str | None]:
        directory, kind = self._state.directory, self._state.actor_id.type_name
        infos = await directory.list_conversations(kind, after=after, limit=_LISTED)
        actors = await directory.list_actors(kind, after=after, limit=_LISTED)
        summaries = {one.actor_id: one for one in actors.items}
        shown = [_listed(info, summaries.get(info.actor_id)) for info in infos.items]
        return shown, infos.next

    async def branches(self) -> list[Branch]:
        """Where the conversation that is shown was forked; see `branches_of`.

        Raises:
            AgentRuntimeError: as `RuntimeDirectory.list_conversations`.
        """
        shown = self._state.actor_id
        infos: list[ConversationInfo] = []
        after: str | None = None
        while len(infos) < _RELATED:
            page = await self._state.directory.list_conversations(
                shown.type_name, after=after, limit=_RELATED
            )
            infos += page.items
            after = page.next
            if after is None:
                break
        return branches_of(shown, infos, self._state.transcript.__contains__)

    # --- go to another one ------------------------------------------------------------

    def _on_switch(self, content: dict[str, Any]) -> None:
        self._state.show(self._state.named(str(content["instance_id"])))

    def _on_new(self, _content: dict[str, Any]) -> None:
        self._do("new", self._show_new())

    async def _show_new(self) -> None:
        self._state.show(self._make_new())

    def _make_new(self) -> ActorId:
        if self._new_conversation is None:
            made = self._named_by_time()
            self._state.untitled.add(made)
            return made
        try:
            return self._new_conversation()
        except Exception as error:
            problem = f"new_conversation raised {type(error).__name__}: {error}"
            raise InvalidRequest("the new conversation", problem) from error

    def _named_by_time(self) -> ActorId:
        # Local time on purpose: it is a name for people, and only has to be new.
        name = f"{datetime.now().astimezone():%Y-%m-%d %H.%M}-{secrets.token_hex(2)}"
        return self._state.named(name)

    def _on_edit(self, content: dict[str, Any]) -> None:
        text, message_id = str(content["text"]), str(content["message_id"])
        turn, media = str(content["turn"]), as_list(content.get("media"))
        try:
            params = user_message(text, media, message_id)
        except InvalidRequest as error:
            self._state.refuse(message_id, error, "edit")
            return
        if message_id not in self._edits:
            self._edits.add(message_id)
            work = self._edit(self._state.actor_id, turn, params, message_id)
            self._state.spawn(work, "edit")

    async def _edit(
        self, actor_id: ActorId, turn: str, params: Any, message_id: str
    ) -> None:
        """Say something else than in a turn, in a fork from before that turn."""
        try:
            forked = await self._fork(actor_id, turn, message_id)
        except AgentRuntimeError as error:
            self._state.refuse(message_id, error, "edit")
        else:
            if self._state.actor_id == actor_id:
                self._state.show(forked)
            await self._state.send(forked, params, message_id)
            self._state.changed(actor_id)  # it has a branch more
        finally:
            self._edits.discard(message_id)

    async def _fork(self, actor_id: ActorId, turn: str, message_id: str) -> ActorId:
        """The fork for an edit: the same one, however often it is asked for."""
        shown = self._state.transcript.turn(turn)
        if shown is not None and "ended_at" not in shown.facts:
            raise InvalidRequest("the message", "is being answered; stop that first")
        mark = hashlib.sha256(f"{actor_id}\n{message_id}".encode()).hexdigest()[:12]
        to = self._state.named(f"edit-{mark}")
        directory = self._state.directory
        try:
            return await directory.fork(actor_id, before=turn, to=to)
        except InvalidRequest:
            made = (await directory.read_actor(to, limit=1)).info
            if made is None or made.parent != actor_id:
                raise
            return to

    # --- names, files, deletion -------------------------------------------------------

    def _on_rename(self, content: dict[str, Any]) -> None:
        actor_id, name = self._state.named(str(content["instance_id"])), content["name"]
        self._do("rename", self._rename(actor_id, None if name is None else str(name)))

    async def _rename(self, actor_id: ActorId, name: str | None) -> None:
        await self._state.directory.rename(actor_id, name)
        self._state.done("rename", actor_id)
        self._state.changed(actor_id)

    def _on_delete(self, content: dict[str, Any]) -> None:
        actor_id = self._state.named(str(content["instance_id"]))
        self._do("delete", self._delete(actor_id, "delete"))

    def _on_forget(self, content: dict[str, Any]) -> None:
        actor_id = self._state.named(str(content["instance_id"]))
        self._do("forget", self._delete(actor_id, "forget"))

    async def _delete(self, actor_id: ActorId, what: str) -> None:
        is_left = what == "delete" and actor_id == self._state.actor_id
        new = self._make_new() if is_left else None
        await self._state.directory.delete_actor(actor_id)
        if new is not None:
            self._state.show(new)
        self._state.done(what, actor_id)
        self._state.changed(actor_id)

    def _on_disallow(self, content: dict[str, Any]) -> None:
        actor_id = self._state.named(str(content["instance_id"]))
        self._do("disallow", self._disallow(actor_id, str(content["tool"])))

    async def _disallow(self, actor_id: ActorId, tool: str) -> None:
        await self._state.directory.disallow_tool(actor_id, tool)
        self._state.done("disallow", actor_id)
        self._state.changed(actor_id)

    def _on_export(self, content: dict[str, Any]) -> None:
        media_type, suffix, write = _WRITERS[str(content["format"])]
        actor_id = self._state.named(str(content["instance_id"]))
        self._do("export", self._export(actor_id, media_type, suffix, write))

    async def _export(
        self,
        actor_id: ActorId,
        media_type: str,
        suffix: str,
        write: Callable[[Conversation], Any],
    ) -> None:
        found = await read_conversation(self._state.directory, actor_id)
        written = write(found)
        if not isinstance(written, str):
            written = json.dumps(written, ensure_ascii=False, indent=1)
        title = f"{actor_id.type_name}-{found.title}"
        name = re.sub(r"[^\w.-]+", "-", title).strip("-.")[:80]
        self._state.post(
            {
                "type": "export",
                "file_name": f"{name}.{suffix}",
                "media_type": media_type,
                "text": written,
            }
        )


def _listed(info: ConversationInfo, summary: ActorSummary | None) -> dict[str, Any]:
    return {
        "instance_id": info.actor_id.instance_id,
        "name": info.name,
        "parent": None if info.parent is None else info.parent.instance_id,
        "turns": None if summary is None else summary.turns,
        "activity": "stored" if summary is None else summary.activity,
    }


def _fits(listed: dict[str, Any], wanted: str) -> bool:
    texts = (listed["instance_id"], listed["name"] or "")
    return any(wanted in text.casefold() for text in texts)
