"""An actor runtime for AI agents in Jupyter: every conversation is an actor.

The names here are loaded on first use, so that `import agent_runtime_nb` stays light;
their types are in `__init__.pyi`.
"""

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_HOMES = {
    "agent_actor": ("AgentActor",),
    "agent_proxy": ("AgentProxy",),
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
    "http_client": ("HttpActorClient",),
    "notebook.start": ("start",),
    "runtime": ("InProcessActorRuntime",),
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
    "sample_agents": ("EchoAgent", "MockAIAgent", "scripted_agent"),
    "storage.memory": ("InMemoryStateStorage",),
    "storage.sqlite": ("SqliteStateStorage",),
    "storage_abstractions": ("IActorStateStorage",),
    "supervision": ("RestartPolicy",),
    "_client": ("InProcessActorClient",),
    "_settings": ("RuntimeSettings",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

if not TYPE_CHECKING:
    # The type checkers read `__init__.pyi`.
    __all__ = ["__version__", *sorted(_HOME_OF)]  # noqa: PLE0604 - names, all str

    def __getattr__(name: str) -> object:
        home = _HOME_OF.get(name)
        if home is None:
            problem = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(problem)
        value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
