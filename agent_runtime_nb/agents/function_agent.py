"""A plain function as an agent of the framework."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextvars import copy_context
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

_END = object()


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
        async for piece in _results(self._function, arguments):
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


async def _results(
    function: Callable[..., Any], arguments: list[Any]
) -> AsyncIterator[Any]:
    """What a function gives, piece by piece, whatever kind of function it is."""
    if _is_async(function):
        result = function(*arguments)
    else:
        result = await _in_thread(function, *arguments)
    if inspect.isawaitable(result):
        result = await result
    if hasattr(result, "__aiter__"):
        async for piece in result:
            yield piece
    elif isinstance(result, Iterator):
        iterator = cast("Iterator[Any]", result)
        while (piece := await _in_thread(next, iterator, _END)) is not _END:
            yield piece
    else:
        yield result


async def _in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call it in a thread, which nothing can end: cancelled, this waits for its end.

    So the next turn does not begin beside it, as long as the runtime has patience.
    """
    context = copy_context()
    work = asyncio.get_running_loop().run_in_executor(
        None, lambda: context.run(_call, function, *arguments)
    )
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        work.exception()  # it is retrieved: nobody else does
        raise


def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call it; a StopIteration, which no future can carry, would be waited for in vain."""
    try:
        return function(*arguments)
    except StopIteration as error:
        raise RuntimeError("the function raised StopIteration") from error


def _is_async(function: Callable[..., Any]) -> bool:
    call = getattr(function, "__call__", function)  # noqa: B004 - its code, not whether
    return any(
        inspect.iscoroutinefunction(code) or inspect.isasyncgenfunction(code)
        for code in (function, call)
    )
