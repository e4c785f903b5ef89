"""Finds agents and conversations by the names in a URL, and makes such URLs."""

import re
from urllib.parse import quote

from fastapi import Request

from agent_runtime_nb.exceptions import (
    InvalidActorId,
    InvalidRequest,
    UnknownActorType,
)
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
)
from agent_runtime_nb.runtime_directory import ActorTypeInfo, RuntimeDirectory

_PREFIX = re.compile(r"(/[A-Za-z0-9._~%@-]+)*")


async def find_actor(
    directory: RuntimeDirectory, agent_name: str, conversation_id: str
) -> ActorId:
    """The actor id of a conversation; it is not checked that the conversation exists.

    Raises:
        UnknownActorType: if no agent can have that name.
        InvalidRequest: if no conversation can have that id.
    """
    try:
        return ActorId(agent_name, conversation_id)
    except InvalidActorId as error:
        problem = str(error)
    try:
        ActorId(agent_name, "-")
    except InvalidActorId:
        known = await directory.actor_types()
        raise UnknownActorType(agent_name, (one.name for one in known)) from None
    raise InvalidRequest("conversation_id", problem)


async def find_agent(directory: RuntimeDirectory, agent_name: str) -> ActorTypeInfo:
    """The name and description of an agent.

    Raises:
        UnknownActorType: if there is none of that name.
    """
    known = await directory.actor_types()
    for one in known:
        if one.name == agent_name:
            return one
    raise UnknownActorType(agent_name, (one.name for one in known))


def path_of(request: Request, actor_id: ActorId, *more: str) -> str:
    """The path of a conversation, or of something in it, for the client of `request`.

    A proxy that takes a prefix off the path says so in `X-Forwarded-Prefix`; it can
    only mislead the client that sent it.
    """
    prefix = request.headers.get("x-forwarded-prefix", "").rstrip("/")
    if not _PREFIX.fullmatch(prefix):
        prefix = ""
    root = str(request.scope.get("root_path", ""))
    words = ["agents", actor_id.type_name, "conversations", actor_id.instance_id]
    return f"{prefix}{root}/" + "/".join(
        quote(word, safe=":") for word in [*words, *more]
    )
