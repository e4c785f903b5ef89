"""Actors in this process, on one event loop.

The names here are loaded on first use; everything else in this package is its own
business and may change.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent_runtime_nb.runtime.activation import InProcessActorContext
    from agent_runtime_nb.runtime.client import InProcessActorClient
    from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
    from agent_runtime_nb.storage.memory import InMemoryStateStorage

_MODULES = {
    "InMemoryStateStorage": "storage.memory",
    "InProcessActorClient": "runtime.client",
    "InProcessActorContext": "runtime.activation",
    "InProcessActorRuntime": "runtime.runtime",
}

__all__ = [
    "InMemoryStateStorage",
    "InProcessActorClient",
    "InProcessActorContext",
    "InProcessActorRuntime",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        module = _MODULES.get(name)
        if module is None:
            problem = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(problem)
        return getattr(importlib.import_module(f"agent_runtime_nb.{module}"), name)
