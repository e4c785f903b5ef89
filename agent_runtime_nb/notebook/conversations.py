"""What `NotebookRuntime` does with conversations and requests beside sending some."""

import json
import os
from pathlib import Path
from typing import Any, Self, cast

from agent_runtime_nb.conversations.export import to_markdown, to_notebook
from agent_runtime_nb.conversations.json_format import to_json
from agent_runtime_nb.conversations.reading import list_conversations, read_conversation
from agent_runtime_nb.exceptions import InvalidRequest
from agent_runtime_nb.notebook.answers import Answer
from agent_runtime_nb.notebook.tables import as_table
from agent_runtime_nb.runtime_abstractions import ActorId, IActorClient, Page
from agent_runtime_nb.runtime_directory import (
    ConversationInfo,
    DeadLetterInfo,
    RuntimeDirectory,
)

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


async def conversation_table(
    directory: RuntimeDirectory, type_name: str | None
) -> ConversationTable:
    """The stored conversations of one actor type, or of all (None)."""
    found = list_conversations(directory, type_name)
    return ConversationTable([one async for one in found])


def export_path(path: str | os.PathLike[str]) -> Path:
    """The file that an export is written to; its ending says the form.

    Raises:
        InvalidRequest: if the ending is none of `.md`, `.json` and `.ipynb`.
    """
    file = Path(path).expanduser()
    if file.suffix.lower() not in _FORMATS:
        raise InvalidRequest("path", f"must end in {', '.join(_FORMATS)}")
    return file


async def export_conversation(
    directory: RuntimeDirectory, actor_id: ActorId, file: Path | None
) -> str:
    """The text of a conversation, written to the file; None: no file, Markdown."""
    found = await read_conversation(directory, actor_id)
    suffix = ".md" if file is None else file.suffix.lower()
    if suffix == ".md":
        text = to_markdown(found)
    else:
        form = to_json(found) if suffix == ".json" else to_notebook(found)
        text = json.dumps(form, ensure_ascii=False, indent=1) + "\n"
    return text if file is None else _write(text, file)


def _write(text: str, file: Path) -> WrittenText:
    file.write_text(text, encoding="utf-8")
    return WrittenText(text, file)


def read_exported(
    path: str | os.PathLike[str], conversation: str | None
) -> tuple[Any, ActorId | None]:
    """The data of an exported `.json` file, and the id it is to be imported as.

    The id is None without `conversation`: then it is the exported one.

    Raises:
        OSError: if the file cannot be read.
        InvalidRequest: if it is something else.
    """
    try:
        data: Any = json.loads(Path(path).expanduser().read_bytes())
    except ValueError as error:
        problem = f"is no JSON file ({error}); only an exported .json comes back"
        raise InvalidRequest("path", problem) from error
    if conversation is None:
        return data, None
    if not isinstance(data, dict):
        raise InvalidRequest("conversation", "must be an object")
    agent = cast("dict[str, Any]", data).get("agent")
    return cast("Any", data), ActorId(str(agent), conversation)


async def answer_again(
    client: IActorClient,
    directory: RuntimeDirectory,
    actor_id: ActorId,
    message_id: str,
) -> Answer:
    """Run a request again and wait for its answer."""
    new_id = await directory.run_again(actor_id, message_id)
    handle = await client.get_response(actor_id, new_id)
    return Answer.of(await handle.get_response())


async def all_dead_letters(
    directory: RuntimeDirectory, type_name: str | None = None
) -> tuple[DeadLetterInfo, ...]:
    """The dead letters of one actor type, or of all (None), from all pages."""
    found: list[DeadLetterInfo] = []
    page: Page[DeadLetterInfo] | None = None
    while page is None or page.next is not None:
        after = None if page is None else page.next
        page = await directory.dead_letters(type_name, after=after)
        found += page.items
    return tuple(found)


async def requeue_letter(
    directory: RuntimeDirectory, letter: DeadLetterInfo | str
) -> str:
    """Send a dead letter, or the one with this message id, again; the new message id.

    Raises:
        InvalidRequest: if no dead letter, or more than one, has this id.
    """
    if isinstance(letter, str):
        letters = await all_dead_letters(directory)
        found = [one for one in letters if one.message_id == letter]
        if len(found) != 1:
            problem = f"{len(found)} of the {len(letters)} dead letters have this id"
            raise InvalidRequest("letter", f"{problem}; see await rt.dead_letters()")
        letter = found[0]
    return await directory.requeue(letter.actor_id, letter.message_id)
