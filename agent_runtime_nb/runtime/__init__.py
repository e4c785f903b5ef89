"""Actors in this process, on one event loop.

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
