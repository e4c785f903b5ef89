"""`start()`: the one call that a notebook begins with."""

import os
from typing import Any

from agent_runtime_nb.exceptions import InvalidRequest
from agent_runtime_nb.hosting import Host
from agent_runtime_nb.notebook.loop import LoopKind, RuntimeLoop
from agent_runtime_nb.notebook.runtime import NotebookRuntime
from agent_runtime_nb.storage.urls import open_storage
from agent_runtime_nb.storage_abstractions import (
    IActorStateStorage,
)
from agent_runtime_nb.supervision import OnInterrupted, RestartPolicy


class _Kernel:
    """What outlives the cells of a kernel: a cell that is run again finds it here."""

    runtime: NotebookRuntime | None = None


_kernel = _Kernel()


def start(
    *agents: Any,
    storage: str | os.PathLike[str] | IActorStateStorage | None = None,
    loop: LoopKind | None = None,
    take_over: bool = False,
    on_interrupted: OnInterrupted = "ask",
    restart: RestartPolicy | None = None,
) -> NotebookRuntime:
    """Host agents in this notebook; every conversation with them is kept.

    Returns at once, the storage opens in the background. Run the cell again and you
    get the same runtime: agents given again serve from their next turn on in their new
    form, others are added, none is doubled. To change the storage or the loop, call
    `rt.stop()` first.

    Args:
        agents: agents, factories, functions `f(message, history)`, names of sample
            agents ("echo", "mock-ai"), "module:attribute", or a mapping of names to
            any of these; see `agent_runtime_nb.hosting`.
        storage: a path of a SQLite file, "memory:", a URL such as
            "postgresql://user@host/db", or a storage; see `storage.urls.open_storage`.
            None: what AGENT_RUNTIME_STORAGE says, else `.agent_runtime/state.db`
            under the working directory.
        loop: "notebook" (the default where a loop runs) or "thread": a loop of its own,
            which goes on while a cell blocks. Without a running loop it is a thread.
        take_over: use conversations that another living kernel owns; that one is
            refused from then on.
        on_interrupted: what becomes of these agents' requests that a dead kernel left
            behind: "ask" (they are marked, a person runs them again), "rerun" or
            "fail".
        restart: how often these agents' actors may fail before they are put in
            quarantine, and how often a request is begun, such as
            `RestartPolicy(max_restarts=10)`. None: three restarts in a minute.

    Raises:
        AgentNameTaken, InvalidAgent: if an agent cannot be hosted as it is.
        InvalidRequest: if the storage is not understood, or differs from the one of
            the runtime that runs.
        MissingExtra: if the packages for the storage's server are not installed.
        ReadOnly: if the storage's folder cannot be made.
    """
    if loop not in (None, "notebook", "thread"):
        raise InvalidRequest("loop", f'is "notebook" or "thread", not {loop!r}')
    current = _kernel.runtime
    if current is not None and current.is_usable:
        _check_unchanged(current, storage, loop)
        policy = RestartPolicy() if restart is None else restart
        current.add(*agents, on_interrupted=on_interrupted, restart=policy)
        current.runtime.take_over = take_over
        return current
    host = Host(
        *agents, storage=storage, on_interrupted=on_interrupted, restart=restart
    )
    host.runtime.take_over = take_over
    after = None if current is None else current.end()
    _kernel.runtime = NotebookRuntime(host, RuntimeLoop.find(loop), after=after)
    return _kernel.runtime


def _check_unchanged(
    runtime: NotebookRuntime,
    storage: str | os.PathLike[str] | IActorStateStorage | None,
    loop: LoopKind | None,
) -> None:
    """Refuse what a running runtime cannot change; what is not asked for is fine."""
    stop_first = "call rt.stop() first, then start() again"
    if storage is not None:
        asked, have = open_storage(storage), runtime.storage
        if (type(asked), asked.location) != (type(have), have.location):
            problem = f"the conversations of this notebook are in {have.location}"
            raise InvalidRequest("storage", f"{problem}; {stop_first}")
    if loop is not None and loop != runtime.loop == "notebook":
        raise InvalidRequest("loop", f"it runs on the notebook's; {stop_first}")
