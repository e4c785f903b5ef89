"""Where a conversation was forked, as the panel shows it.

Conversations that were forked from each other at the same place are the options of one
branch: they have the same turns up to there. A conversation that was forked further on
stands for the one that it came from.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.runtime_directory import ConversationInfo

Branch: TypeAlias = dict[str, Any]

_Family: TypeAlias = Mapping[ActorId, ConversationInfo]


def branches_of(
    shown: ActorId,
    infos: Iterable[ConversationInfo],
    has_turn: Callable[[str], bool],
) -> list[Branch]:
    """The places at which there are other conversations beside the one shown.

    Args:
        shown: the conversation.
        infos: all stored conversations of its actor type.
        has_turn: whether a turn of that id is in the conversation shown.

    Returns:
        `{"after": message id | None, "options": [{"instance_id", "name"}], "index"}`;
        the original is the first option, the others follow in the order in which they
        were forked; `index` is the place of the one shown.
    """
    family = {info.actor_id: info for info in infos}
    line = _line(shown, family)
    forks: dict[tuple[ActorId, str | None], list[ConversationInfo]] = {}
    for info in family.values():
        if info.parent is not None and info.parent in family:
            origin = _origin(info, family)
            forks.setdefault((origin, info.forked_at), []).append(info)
    found: list[Branch] = []
    for (origin, after), forked in forks.items():
        options = [origin, *(one.actor_id for one in sorted(forked, key=_age))]
        ours = next((one for one in line if one in options), None)
        if ours is None or not _is_here(shown, ours, after, family, has_turn):
            continue
        index = options.index(ours)
        options[index] = shown
        found.append(
            {
                "after": after,
                "options": [_option(one, family) for one in options],
                "index": index,
            }
        )
    return found


def _line(shown: ActorId, family: _Family) -> list[ActorId]:
    """A conversation, what it was forked from, and so on."""
    line = [shown]
    while (info := family.get(line[-1])) is not None and info.parent is not None:
        if info.parent in line or info.parent not in family:
            break
        line.append(info.parent)
    return line


def _origin(info: ConversationInfo, family: _Family) -> ActorId:
    """The first conversation of those that were forked at the same place."""
    seen = {info.actor_id}
    origin = info
    while origin.parent is not None and origin.forked_at == info.forked_at:
        parent = family.get(origin.parent)
        if parent is None or parent.actor_id in seen:
            break
        seen.add(parent.actor_id)
        origin = parent
    return origin.actor_id


def _is_here(
    shown: ActorId,
    ours: ActorId,
    after: str | None,
    family: _Family,
    has_turn: Callable[[str], bool],
) -> bool:
    """Whether the place is one of the conversation shown."""
    info = family.get(shown)
    if ours == shown or after is None:
        return True
    return (info is not None and info.forked_at == after) or has_turn(after)


def _age(info: ConversationInfo) -> tuple[float, str]:
    at = 0.0 if info.forked_on is None else info.forked_on.timestamp()
    return (at, info.actor_id.instance_id)


def _option(actor_id: ActorId, family: _Family) -> dict[str, str | None]:
    info = family.get(actor_id)
    name = None if info is None else info.name
    return {"instance_id": actor_id.instance_id, "name": name}
