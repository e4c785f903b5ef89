"""An actor runtime for AI agents in Jupyter: every conversation is an actor.

The names here are loaded on first use, so that `import agent_runtime_nb` stays light;
their types are in `__init__.pyi`.
"""

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_MODULES = {
    "agents.actor": ("AgentActor",),
    "agents.proxy": ("AgentProxy",),
    "exceptions": (
        "ActorBusy",
        "ActorOwnedElsewhere",
        "ActorQuarantined",
        "ActorStartFailed",
        "AgentNameTaken",
        "AgentRuntimeError",
        "DeadLetter",
        "DeadlineExceeded",
        "DeadlockDetected",
        "InvalidActorId",
        "InvalidAgent",
        "InvalidRequest",
        "MailboxFull",
        "MessageIdReused",
        "MissingExtra",
        "NotCompleted",
        "NotJson",
        "NotRunning",
        "OutsideTurn",
        "RemoteError",
        "StorageError",
        "TurnFailed",
        "UnknownActorType",
    ),
    "http_client.client": ("HttpActorClient",),
    "notebook.start": ("start",),
    "runtime.runtime": ("InProcessActorRuntime",),
    "runtime_abstractions": (
        "ActorId",
        "ActorMessage",
        "ActorMessageType",
        "ActorRequestMessage",
        "ActorResponseHandle",
        "ActorResponseMessage",
        "Cursor",
        "IActor",
        "IActorClient",
        "IActorRuntimeContext",
        "RequestStatus",
        "TurnUpdate",
        "TurnView",
    ),
    "runtime_directory": (
        "ActorSummary",
        "ActorTypeInfo",
        "ActorView",
        "Health",
        "RuntimeDirectory",
    ),
    "agents.samples": ("EchoAgent", "MockAIAgent", "scripted_agent"),
    "storage.memory": ("InMemoryStateStorage",),
    "storage.sqlite.storage": ("SqliteStateStorage",),
    "storage_abstractions": ("IActorStateStorage",),
    "supervision": ("RestartPolicy",),
    "runtime.client": ("InProcessActorClient",),
    "settings": ("RuntimeSettings",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

if not TYPE_CHECKING:
    # The type checkers read `__init__.pyi`.
    __all__ = ["__version__", *sorted(_MODULE_OF)]  # noqa: PLE0604 - names, all str

    def __getattr__(name: str) -> object:
        module = _MODULE_OF.get(name)
        if module is None:
            problem = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(problem)
        value = getattr(importlib.import_module(f"{__name__}.{module}"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
