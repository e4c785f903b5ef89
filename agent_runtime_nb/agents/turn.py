"""One turn of an agent's actor: what was sent, and its updates while it runs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from agent_framework import AgentResponse, AgentResponseUpdate, Message

from agent_runtime_nb.agents.streamed_answer import StreamedAnswer
from agent_runtime_nb.conversations.contents import update_to_dict
from agent_runtime_nb.conversations.entries import (
    Entry,
    parse_messages,
    text_of,
    to_message,
)
from agent_runtime_nb.exceptions import InvalidRequest
from agent_runtime_nb.runtime_abstractions import (
    RETRY_OF,
    ActorRequestMessage,
    ActorResponseMessage,
    IActorRuntimeContext,
    RequestStatus,
)


@dataclass
class AgentTurn:
    """What is known of the running turn.

    `goes_on`: its inputs are what the turn that it replaces had done already.
    """

    context: IActorRuntimeContext
    request: ActorRequestMessage
    inputs: list[Message] = field(default_factory=list[Message])
    streamed: StreamedAnswer = field(default_factory=StreamedAnswer)
    notices: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    sequence: int = 0
    goes_on: bool = False

    @property
    def id(self) -> str:
        """The request's id."""
        return self.request.message_id

    @property
    def replaced(self) -> str | None:
        """The request whose place this one takes, if any."""
        return self.request.metadata.get(RETRY_OF)

    def read_inputs(self) -> None:
        """Take the messages that were sent.

        Raises:
            InvalidRequest: naming the field.
        """
        if self.request.method != "run":
            problem = f'{self.request.method!r} is not known; agents have "run"'
            raise InvalidRequest("method", problem)
        self.inputs = parse_messages(self.request.params, self.id)

    async def work_of_replaced(self) -> list[Message]:
        """What the turn that this one replaces has done, up to its last tool result.

        A tool that was approved there has run, and must not run on that approval again.
        """
        before: int | None = None
        while page := await self.context.read_turns(before=before):
            for view in page:
                if view.message_id == self.replaced:
                    messages = [to_message(entry) for entry in view.entries]
                    while messages and messages[-1].role != "tool":
                        messages.pop()
                    return messages
            before = page[0].position
        return []

    def kinds(self) -> set[str]:
        """The kinds of content that were sent."""
        return {content.type for one in self.inputs for content in one.contents}

    def partial_response(self) -> AgentResponse:
        """What the updates seen so far make."""
        return self.streamed.to_response()

    def publish(self, update: AgentResponseUpdate) -> None:
        """Tell an update of the agent."""
        self.streamed.add(update)
        # Services send empty updates for their own lifecycle events.
        if any(content.type != "text" or content.text for content in update.contents):
            self.context.on_progress_update(
                self.id, self.sequence, update_to_dict(update)
            )
            self.sequence += 1

    def notify(self, level: str, text: str) -> None:
        """Tell something about the turn."""
        notice = {"level": level, "text": text}
        self.notices.append(notice)
        self.context.on_progress_update(
            self.id, self.sequence, {"type": "notice", **notice}
        )
        self.sequence += 1

    def respond(self, status: RequestStatus, data: dict[str, Any]) -> None:
        """End the turn."""
        if self.notices:
            data["notices"] = self.notices
        sender = self.context.actor_id
        response = ActorResponseMessage(
            message_id=self.id, sender_id=sender, status=status, data=data
        )
        self.context.complete_request(self.id, response)

    def answers(self, entries: Sequence[Entry]) -> list[dict[str, Any]]:
        """Those entries of the turn that were not sent, with their texts."""
        asked = {message.message_id for message in self.inputs}
        return [
            {**entry, "content": text_of(entry)}
            for entry in entries
            if entry["message_id"] not in asked
        ]
