"""What any kind of function gives, piece by piece: plain ones in a thread."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import copy_context
from typing import Any, cast

_END = object()


async def pieces(
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
        work.exception()  # nobody else will look at it
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
