"""Actors in this process, on one event loop.

runtime.py     `InProcessActorRuntime`: start, stop, register; the way in for clients
client.py      `InProcessActorClient` and its handles, for any thread and any loop
directory.py   `LocalDirectory`: shows and manages the actors
views.py       what it shows
requests.py    what it does with requests: withdraw, run again, discard, requeue
forks.py       forks, imports and names of conversations
expiry.py      deletes conversations that nobody uses
recovery.py    what dead hosts left open
catalog.py     the actor types, and the actors in memory by their ids

One actor in memory is a class over four, from the top:

cell.py        `ActorCell`: its activation and its one running turn
supervised.py  restarts and quarantine after failures
ending.py      the write that ends a turn
intake.py      the write that accepts a request
ownership.py   the claim, and losing the actor

What it works with:

turn.py        a request on its way, from its acceptance to its end
mailbox.py     the requests that wait for their turn
activation.py  the actor object, and its context in a turn: `InProcessActorContext`
admission.py   the bounds on what waits
commit.py      what follows if the write that ends a turn is not done at once
outbox.py      delivers the messages (tells) that an actor sends; tell.py
wait_graph.py  which turn waits for which actor
reporter.py    reports what happens: to the turn's log, listeners and feeds
turn_log.py    the progress of a turn, for any number of readers
feed.py        the items for one watcher of an actor
listeners.py   the listeners of runtime events
health.py      the health of a runtime

The names in `__init__.pyi` are loaded on first use; everything else in this package is
its own business and may change.
"""

import importlib
from typing import TYPE_CHECKING

_MODULES = {
    "InMemoryStateStorage": "agent_runtime_nb.storage.memory",
    "InProcessActorClient": "agent_runtime_nb.runtime.client",
    "InProcessActorContext": "agent_runtime_nb.runtime.activation",
    "InProcessActorRuntime": "agent_runtime_nb.runtime.runtime",
}

if not TYPE_CHECKING:
    # The type checkers read `__init__.pyi`.
    __all__ = [*_MODULES]  # noqa: PLE0604 - names, all str

    def __getattr__(name: str) -> object:
        module = _MODULES.get(name)
        if module is None:
            problem = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(problem)
        return getattr(importlib.import_module(module), name)
