"""What a chat panel shows now, for the parts of it that work on that."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from agent_runtime_nb.exceptions import AgentRuntimeError
from agent_runtime_nb.runtime_abstractions import ActorId, IActorClient
from agent_runtime_nb.runtime_directory import RuntimeDirectory
from agent_runtime_nb.widgets.chat_panel.contents import Decision
from agent_runtime_nb.widgets.chat_panel.transcript import Transcript
from agent_runtime_nb.widgets.chat_panel.turn import Emit

Handler: TypeAlias = Callable[[dict[str, Any]], None]
"""Takes a message of a front end; KeyError, TypeError, ValueError: of a wrong shape."""


@dataclass
class PanelState:
    """The conversation that is shown, and how to send changes of it; on the widget's loop only.

    Attributes:
        client: talks to the actor.
        directory: looks at it and manages it.
        actor_id: the conversation that is shown now.
        transcript: what of it is shown.
        change: a context to change the transcript in, that gives where to emit it.
        post: sends one message to all front ends.
        spawn: starts a task that ends with the panel.
        show: shows another conversation.
        changed: says that a conversation was renamed, forked, deleted or the like, so
            that the panels of this process that may show it look again.
        decided: tells the other panels that show it what somebody decided about an
            approval, before all that its turn asks for is decided.
        untitled: new conversations that were named by the time of day; they are given
            the first words that are said in them.
    """

    client: IActorClient
    directory: RuntimeDirectory
    actor_id: ActorId
    transcript: Transcript
    change: Callable[[], AbstractContextManager[Emit]]
    post: Callable[[dict[str, Any]], None]
    spawn: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]]
    show: Callable[[ActorId], None]
    changed: Callable[[ActorId], None]
    decided: Callable[[ActorId, str, str, Decision | None, str | None], None]
    untitled: set[ActorId] = field(default_factory=set[ActorId])

    def refuse(self, message_id: str, error: AgentRuntimeError, what: str = "") -> None:
        """Emit why something was not done; `what` is the kind of its message."""
        described: dict[str, Any] = {
            "type": type(error).__name__,
            "message": str(error),
            "retryable": error.retryable,
        }
        if (seconds := getattr(error, "retry_after", None)) is not None:
            described["retry_after"] = seconds
        refused = {"type": "refused", "message_id": message_id, "error": described}
        self.post({**refused, "what": what} if what else refused)

    def done(self, what: str, actor_id: ActorId) -> None:
        """Emit that something was done."""
        name = actor_id.instance_id
        self.post({"type": "done", "what": what, "instance_id": name})

    def named(self, instance_id: str) -> ActorId:
        """A conversation of the actor type that is shown.

        Raises:
            InvalidActorId: if it is no instance id (a ValueError).
        """
        return ActorId(self.actor_id.type_name, instance_id)

    async def send(self, actor_id: ActorId, params: Any, message_id: str) -> bool:
        """Send a request; the turn itself comes back through the watch."""
        try:
            await self.client.send_request(actor_id, "run", params, message_id)
        except AgentRuntimeError as error:
            self.refuse(message_id, error)
            return False
        return True
