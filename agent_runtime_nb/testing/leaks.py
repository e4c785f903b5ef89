"""`no_leaks`: whether a piece of work left something behind.

For example:

    async with no_leaks():
        await runtime.start()
        ...
        await runtime.stop()

Looks at tasks of the running loop, futures that are pending though somebody still holds
them, threads, and open files and sockets (where the system lists them).
"""

import asyncio
import gc
import os
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias, cast

_Look: TypeAlias = Callable[[], dict[int, str]]  # what there is now, by its identity

_FILES = Path("/proc/self/fd")
_PAUSE = 0.01


class Leaked(AssertionError):
    """Something was left behind.

    Attributes:
        things: what, a line each.
    """

    def __init__(self, things: list[str]) -> None:
        self.things = things
        super().__init__("left behind:" + "".join(f"\n  {one}" for one in things))


@asynccontextmanager
async def no_leaks(
    *, patience: float = 1.0, futures: bool = True, ignore: str = ""
) -> AsyncGenerator[None]:
    """Raise Leaked at the end of the block if it left something behind.

    What the block itself raises goes first.

    Args:
        patience: seconds that what is ending may take to end.
        futures: look for pending futures too; that walks over all objects in memory,
            some ten milliseconds in a large process.
        ignore: how the qualified names of coroutines begin whose tasks are no leak, nor
            is what they wait for.
    """
    looks: list[_Look] = [lambda: _tasks(ignore), _threads, _files]
    if futures:
        looks.append(lambda: _futures(ignore))
    before = [look() for look in looks]
    yield
    for look, earlier in zip(looks, before, strict=True):
        left = await _wait_until_clean(look, earlier, patience)
        if left:
            raise Leaked(left)


async def _wait_until_clean(
    look: _Look, earlier: dict[int, str], patience: float
) -> list[str]:
    loop = asyncio.get_running_loop()
    until = loop.time() + patience
    # A fixture may end in another task than it began in.
    earlier = {**earlier, id(asyncio.current_task()): "this one"}
    while True:
        left = [what for key, what in look().items() if key not in earlier]
        if not left or loop.time() > until:
            return sorted(left)
        await asyncio.sleep(_PAUSE)


def _tasks(ignore: str) -> dict[int, str]:
    return {
        id(task): f"task {task.get_name()}: {_place_of(task)}"
        for task in asyncio.all_tasks()
        if not _is_ignored(task, ignore)
    }


def _is_ignored(task: "asyncio.Task[Any]", ignore: str) -> bool:
    name: str = getattr(task.get_coro(), "__qualname__", "")
    return bool(ignore) and name.startswith(ignore)


def _place_of(task: "asyncio.Task[Any]") -> str:
    frames = task.get_stack(limit=1)
    if not frames:
        return "about to run"
    return f"{frames[0].f_code.co_filename}:{frames[0].f_lineno}"


def _threads() -> dict[int, str]:
    # The idle workers of the loop's own executor are kept by asyncio on purpose.
    return {
        id(thread): f"thread {thread.name}"
        for thread in threading.enumerate()
        if not thread.name.startswith("asyncio_")
    }


def _files() -> dict[int, str]:
    if not _FILES.exists():
        return {}
    found: dict[int, str] = {}
    for name in os.listdir(_FILES):  # noqa: PTH208 - the listing itself is one of them
        try:
            target = os.readlink(_FILES / name)  # noqa: PTH115
        except OSError:
            continue
        if not target.endswith("/fd"):
            found[int(name)] = f"file {name}: {target}"
    return found


def _futures(ignore: str) -> dict[int, str]:
    gc.collect()  # what nobody holds any more is no leak
    things: list[Any] = gc.get_objects()
    fine = {
        id(getattr(task, "_fut_waiter", None))
        for task in asyncio.all_tasks()
        if _is_ignored(task, ignore)
    }
    pending: list[Any] = [
        thing
        for thing in things
        if type(thing) is asyncio.Future and not cast("Any", thing).done()
    ]
    found = {id(future): f"pending {future!r}" for future in pending}
    return {key: what for key, what in found.items() if key not in fine}
