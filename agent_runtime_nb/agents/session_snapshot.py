"""The snapshot of a session: everything of a conversation that is not a message.

It is stored under the state key `SESSION_KEY`:

    {"version": 1, "session": AgentSession.to_dict()}

pending approvals, the state of context providers, the id of a conversation that the
service keeps. Only a turn that COMPLETED writes it (and one that used up an approval,
so that a tool which needs one never runs twice on one approval).
"""

from agent_framework import AgentSession

from agent_runtime_nb.exceptions import Corrupt, SchemaTooNew
from agent_runtime_nb.runtime_abstractions import JsonValue

SESSION_KEY = "session"
"""The state key of the session's snapshot."""

VERSION = 1


def session_snapshot(session: AgentSession) -> JsonValue:
    """The stored form of everything in a session that is not a message."""
    return {"version": VERSION, "session": session.to_dict()}


def restore_session(
    fresh: AgentSession, snapshot: JsonValue, where: str
) -> AgentSession:
    """The session of a snapshot, or `fresh` if there is none.

    Args:
        fresh: a new session of the agent; its class reads the snapshot.
        snapshot: what `session_snapshot` gave, or None.
        where: the conversation, for messages.

    Raises:
        SchemaTooNew: if a newer version of this package wrote it.
        Corrupt: if it cannot be read.
    """
    if snapshot is None:
        return fresh
    try:
        if (version := int(snapshot["version"])) > VERSION:
            raise SchemaTooNew(f"of {where}", version, VERSION)
        return type(fresh).from_dict(snapshot["session"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Corrupt(f"of {where}", f"its session cannot be read: {error}") from error
