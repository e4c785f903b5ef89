"""A plain function as an agent of the framework."""

import inspect
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, cast

from agent_framework import (
    AgentResponse,
    AgentResponseUpdate,
    AgentSession,
    BaseAgent,
    Content,
    Message,
    ResponseStream,
    SessionContext,
    SupportsAgentRun,
    normalize_messages,
)

from agent_runtime_nb.agents.function_pieces import pieces


class FunctionAgent(BaseAgent):
    """An agent of the framework that answers with a function.

    See `AgentActor` for what the function gets and may give. A plain function runs in a
    thread, because it would block the loop; so it cannot be stopped, only left behind.
    """

    def __init__(self, function: Callable[..., Any], *, with_history: bool) -> None:
        name = getattr(function, "__name__", None)
        super().__init__(
            name=None if name == "<lambda>" else name,
            description=(inspect.getdoc(function) or "").partition("\n")[0] or None,
        )
        self._function = function
        self._with_history = with_history

    def run(
        self,
        messages: Any = None,
        *,
        stream: bool = False,
        session: AgentSession | None = None,
        **kwargs: Any,
    ) -> Any:
        """Answer; see `SupportsAgentRun.run`."""
        updates = self._updates(normalize_messages(messages), session)
        answer: ResponseStream[AgentResponseUpdate, AgentResponse[Any]] = (
            ResponseStream(updates, finalizer=AgentResponse.from_updates)
        )
        return answer if stream else answer.get_final_response()

    async def _updates(
        self, inputs: list[Message], session: AgentSession | None
    ) -> AsyncIterator[AgentResponseUpdate]:
        arguments: list[Any] = ["\n".join(filter(None, map(_text, inputs)))]
        if self._with_history:
            arguments.append(await self._history(inputs, session))
        async for piece in pieces(self._function, arguments):
            if isinstance(piece, AgentResponseUpdate):
                yield piece
            elif piece is not None:
                content = piece if isinstance(piece, Content) else str(piece)
                yield AgentResponseUpdate(
                    contents=[
                        Content.from_text(content)
                        if isinstance(content, str)
                        else content
                    ],
                    role="assistant",
                    author_name=self.name,
                    agent_id=self.id,
                )

    async def _history(
        self, inputs: list[Message], session: AgentSession | None
    ) -> list[Mapping[str, str]]:
        session = session or self.create_session()
        context = SessionContext(session_id=session.session_id, input_messages=inputs)
        for provider in self.context_providers:
            state = session.state.setdefault(provider.source_id, {})
            await provider.before_run(
                agent=cast("SupportsAgentRun", self),
                session=session,
                context=context,
                state=state,
            )
        return [
            {"role": str(message.role), "content": text}
            for message in context.get_messages()
            if (text := _text(message))
        ]


def _text(message: Message) -> str:
    return "\n".join(
        content.text or "" for content in message.contents if content.type == "text"
    )
