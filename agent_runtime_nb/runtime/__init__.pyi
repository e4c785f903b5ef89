"""The types of the names that the package loads on first use."""

from agent_runtime_nb.runtime.activation import (
    InProcessActorContext as InProcessActorContext,
)
from agent_runtime_nb.runtime.client import (
    InProcessActorClient as InProcessActorClient,
)
from agent_runtime_nb.runtime.runtime import (
    InProcessActorRuntime as InProcessActorRuntime,
)
from agent_runtime_nb.storage.memory import (
    InMemoryStateStorage as InMemoryStateStorage,
)
