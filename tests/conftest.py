"""What every test shares."""

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from agent_runtime_nb._settings import RuntimeSettings
from agent_runtime_nb.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import (
    IActor,
    IActorRuntimeContext,
)
from agent_runtime_nb.storage_abstractions import (
    IActorStateStorage,
)
from tests.fakes import Handle, HandlingActor, StartRuntime, echo


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Asyncio only: Jupyter kernels run nothing else."""
    return "asyncio"


@pytest.fixture
async def start() -> AsyncIterator[StartRuntime]:
    """See `StartRuntime`."""
    runtimes: list[InProcessActorRuntime] = []

    async def start(
        handle: Handle | type[IActor] = echo,
        storage: IActorStateStorage | None = None,
        **kwargs: Any,
    ) -> InProcessActorRuntime:
        kwargs.setdefault("settings", RuntimeSettings(commit_retries=(0.0,)))
        runtime = InProcessActorRuntime(storage, **kwargs)
        runtimes.append(runtime)

        def make(context: IActorRuntimeContext) -> IActor:
            if isinstance(handle, type):
                return cast("Any", handle)(context)
            return HandlingActor(handle)

        runtime.register_actor_type("worker", make)
        await runtime.start()
        return runtime

    yield start
    for runtime in runtimes:
        await runtime.stop(drain=0)
