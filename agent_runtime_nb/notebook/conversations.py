"""What a notebook may do with its conversations beside talking in them."""

import json
import os
from abc import abstractmethod
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Self, TypeVar, cast

from agent_runtime_nb.conversations.export import to_markdown, to_notebook
from agent_runtime_nb.conversations.json_format import import_conversation, to_json
from agent_runtime_nb.conversations.reading import list_conversations, read_conversation
from agent_runtime_nb.exceptions import InvalidRequest
from agent_runtime_nb.notebook.answers import Answer, Pending
from agent_runtime_nb.notebook.card import as_table
from agent_runtime_nb.runtime_abstractions import ActorId, IActorClient, Page
from agent_runtime_nb.runtime_directory import (
    ConversationInfo,
    DeadLetterInfo,
    RuntimeDirectory,
)

T = TypeVar("T")
_FORMATS = (".md", ".json", ".ipynb")


class ConversationTable(tuple[ConversationInfo, ...]):
    """Conversations, shown as a table."""

    __slots__ = ()

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (
                one.actor_id.type_name,
                one.actor_id.instance_id,
                one.name or "",
                str(one.parent or ""),
            )
            for one in self
        ]

    def _repr_html_(self) -> str:
        return as_table(("agent", "conversation", "name", "forked from"), self._rows())


class WrittenText(str):
    """The text of a file that was written, shown as what became of it."""

    __slots__ = ("file",)

    def __new__(cls, text: str, file: Path) -> Self:
        """The text, and where it is now."""
        written = super().__new__(cls, text)
        written.file = file
        return written

    file: Path

    def __repr__(self) -> str:
        return f"<{self.file}: {len(self):,} characters written>"


class ConversationCommands:
    """The part of a `NotebookRuntime` that manages conversations and requests.

    Everything may be used at once and is awaited for its result. `agent` and
    `conversation` are those of `NotebookRuntime.ask`.
    """

    @property
    @abstractmethod
    def client(self) -> IActorClient:
        """Talks to any actor of the runtime."""

    @property
    @abstractmethod
    def directory(self) -> RuntimeDirectory:
        """Lists and manages the actors of the runtime."""

    @abstractmethod
    def _actor_id(self, agent: Any, conversation: str | None) -> ActorId: ...

    @abstractmethod
    def _pending(self, work: Coroutine[Any, Any, T], name: str) -> Pending[T]: ...

    # --- conversations

    def conversations(self, agent: Any = None) -> Pending[ConversationTable]:
        """The stored conversations, of all agents if none is given."""
        type_name = None if agent is None else self._actor_id(agent, None).type_name

        async def work() -> ConversationTable:
            found = list_conversations(self.directory, type_name)
            return ConversationTable([one async for one in found])

        return self._pending(work(), "conversations")

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
        file = None if path is None else Path(path).expanduser()
        if file is not None and file.suffix.lower() not in _FORMATS:
            raise InvalidRequest("path", f"must end in {', '.join(_FORMATS)}")

        async def work() -> str:
            found = await read_conversation(self.directory, actor_id)
            suffix = ".md" if file is None else file.suffix.lower()
            if suffix == ".md":
                text = to_markdown(found)
            else:
                form = to_json(found) if suffix == ".json" else to_notebook(found)
                text = json.dumps(form, ensure_ascii=False, indent=1) + "\n"
            if file is not None:
                file.write_text(text, encoding="utf-8")
                return WrittenText(text, file)
            return text

        return self._pending(work(), "export")

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
        try:
            data: Any = json.loads(Path(path).expanduser().read_bytes())
        except ValueError as error:
            problem = f"is no JSON file ({error}); only an exported .json comes back"
            raise InvalidRequest("path", problem) from error
        to = None
        if conversation is not None:
            if not isinstance(data, dict):
                raise InvalidRequest("conversation", "must be an object")
            agent = cast("dict[str, Any]", data).get("agent")
            to = ActorId(str(agent), conversation)

        async def work() -> str:
            made = await import_conversation(self.directory, data, to=to)
            return made.instance_id

        return self._pending(work(), "import")

    # --- requests that did not go well

    def run_again(
        self, message_id: str, agent: Any = None, *, conversation: str | None = None
    ) -> Pending[Answer]:
        """Send a request that has ended once more, in its place; await the answer."""
        actor_id = self._actor_id(agent, conversation)

        async def work() -> Answer:
            new_id = await self.directory.run_again(actor_id, message_id)
            handle = await self.client.get_response(actor_id, new_id)
            return Answer.of(await handle.get_response())

        return self._pending(work(), "run again")

    def discard(
        self, message_id: str, agent: Any = None, *, conversation: str | None = None
    ) -> Pending[bool]:
        """Take a turn that did not complete out of what the model sees."""
        actor_id = self._actor_id(agent, conversation)
        return self._pending(self.directory.discard(actor_id, message_id), "discard")

    def dead_letters(self, agent: Any = None) -> Pending[tuple[DeadLetterInfo, ...]]:
        """Requests that are not begun again, with the reason; `requeue` sends one."""
        type_name = None if agent is None else self._actor_id(agent, None).type_name

        async def work() -> tuple[DeadLetterInfo, ...]:
            found: list[DeadLetterInfo] = []
            page: Page[DeadLetterInfo] | None = None
            while page is None or page.next is not None:
                after = None if page is None else page.next
                page = await self.directory.dead_letters(type_name, after=after)
                found += page.items
            return tuple(found)

        return self._pending(work(), "dead letters")

    def requeue(self, letter: DeadLetterInfo | str) -> Pending[str]:
        """Send a dead letter again; await it for the new request's message id.

        Args:
            letter: one that `dead_letters` gave, or its message id.

        Raises:
            InvalidRequest: awaited, if no dead letter, or more than one, has this id.
        """

        async def work() -> str:
            found = await self._letter(letter) if isinstance(letter, str) else letter
            return await self.directory.requeue(found.actor_id, found.message_id)

        return self._pending(work(), "requeue")

    async def _letter(self, message_id: str) -> DeadLetterInfo:
        letters = await self.dead_letters()
        found = [letter for letter in letters if letter.message_id == message_id]
        if len(found) == 1:
            return found[0]
        problem = f"{len(found)} of the {len(letters)} dead letters have this id"
        raise InvalidRequest("letter", f"{problem}; see await rt.dead_letters()")

    def revive(
        self, agent: Any = None, *, conversation: str | None = None
    ) -> Pending[bool]:
        """End the quarantine of an actor that failed too often."""
        actor_id = self._actor_id(agent, conversation)
        return self._pending(self.directory.revive(actor_id), "revive")
