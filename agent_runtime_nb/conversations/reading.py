"""Reads stored conversations through any `RuntimeDirectory`, page by page."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from agent_runtime_nb.runtime_abstractions import ActorId, TurnView
from agent_runtime_nb.runtime_directory import ConversationInfo, RuntimeDirectory

_PAGE = 200


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation with all its ended turns, oldest first."""

    info: ConversationInfo
    turns: Sequence[TurnView]

    @property
    def title(self) -> str:
        """Its name, else what identifies it."""
        return self.info.name or self.info.actor_id.instance_id


async def list_conversations(
    directory: RuntimeDirectory, type_name: str | None = None
) -> AsyncIterator[ConversationInfo]:
    """Every stored conversation, in the order of the ids, page after page."""
    after: str | None = None
    while True:
        page = await directory.list_conversations(type_name, after=after)
        for info in page.items:
            yield info
        after = page.next
        if after is None:
            return


async def read_conversation(
    directory: RuntimeDirectory, actor_id: ActorId
) -> Conversation:
    """A conversation as a whole; what waits or runs is not in it."""
    view = await directory.read_actor(actor_id, limit=_PAGE)
    info = view.info or ConversationInfo(actor_id)
    pages = [view.turns]
    while view.more and view.turns:
        before = view.turns[0].position
        view = await directory.read_actor(actor_id, before=before, limit=_PAGE)
        pages.append(view.turns)
    return Conversation(info, [turn for page in reversed(pages) for turn in page])
