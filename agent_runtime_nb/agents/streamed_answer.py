"""What an agent has streamed so far, such that the answer it makes is cheap to have.

A long answer is looked at every few seconds, to be saved. The framework makes an answer
of updates by going through all of them, so a run of plain text, of which there are
thousands, is kept as one update.
"""

from copy import copy
from typing import Any

from agent_framework import AgentResponse, AgentResponseUpdate, Content

from agent_runtime_nb.conversations.contents import is_plain_text

_OWN = {"contents", "raw_representation"}  # what may differ within a run


class StreamedAnswer:
    """The updates of a run, in order; those that are given stay as they are."""

    def __init__(self) -> None:
        self._updates: list[AgentResponseUpdate] = []
        self._said: dict[str, Any] | None = (
            None  # what the run's updates have in common
        )
        self._more: list[str] = []  # of the last update's text

    def add(self, update: AgentResponseUpdate) -> None:
        """Keep an update."""
        said = _said_with_text(update)
        if said is not None and said == self._said:
            self._more.append(update.contents[0].text or "")
            return
        self._join()
        self._updates.append(update)
        self._said = said

    def to_response(self) -> AgentResponse:
        """The answer that the updates make."""
        self._join()
        return AgentResponse.from_updates(self._updates)

    def _join(self) -> None:
        if self._more:
            update = self._updates[-1]
            self._updates[-1] = _extended(update, "".join(self._more))
            self._more = []


def _said_with_text(update: AgentResponseUpdate) -> dict[str, Any] | None:
    """What an update says besides its text, if it has one and nothing else."""
    if len(update.contents) != 1 or type(update) is not AgentResponseUpdate:
        return None
    content = update.contents[0]
    if not is_plain_text(content) or update.merge_mode is not None:
        return None
    fields = vars(update)
    said = {name: fields[name] for name in fields if name not in _OWN}
    return {**said, "kind of text": content.type}


def _extended(update: AgentResponseUpdate, more: str) -> AgentResponseUpdate:
    content: Content = copy(update.contents[0])
    content.text = (content.text or "") + more
    longer = copy(update)
    longer.contents = [content]
    return longer
