"""What every test shares."""

import gc
import inspect
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import (
    IActor,
    IActorRuntimeContext,
)
from agent_runtime_nb.settings import RuntimeSettings
from agent_runtime_nb.storage_abstractions import (
    IActorStateStorage,
)
from tests.fakes import Handle, HandlingActor, StartRuntime, echo
from tests.servers.memory_folders import temporary_folders

pytest.register_assert_rewrite("tests.same_values")

# Where the fixtures of servers are, and the ones that are shipped.
pytest_plugins = (
    "tests.effort",  # its profiles are there before an option names one
    "tests.markers",
    "tests.parts",
    "agent_runtime_nb.testing.fixtures",
    "tests.servers.cosmos_server",
    "tests.servers.postgres_server",
    "tests.servers.pgbouncer",
    "tests.servers.redis_server",
    "tests.contracts.cosmos_subject",
    "tests.contracts.postgres_subject",
    "tests.contracts.redis_subject",
    "tests.storage.cosmos_fixtures",
    "tests.storage.postgres_fixtures",
    "tests.storage.redis_fixtures",
    "tests.token_watch",
)


_TESTS = Path(__file__).parent

LEAK_CHECKED = frozenset(
    {".", "_base", "agents", "conversations", "http_client", "runtime"}
)
"""The folders whose async tests may leave nothing behind. The others share servers,
browsers and kernels, which are started when first needed; a module there that shares
none asks for `leak_check` itself."""


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Asyncio only: Jupyter kernels run nothing else."""
    return "asyncio"


def pytest_configure() -> None:
    """Keep the tests' files in memory: SQLite syncs each step to them."""
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(next(temporary_folders())))


def pytest_collection_finish() -> None:
    """Let the look for pending futures pass over what was imported."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _no_test_of_the_package_leaks(request: pytest.FixtureRequest) -> None:
    # First of all, so that what the other fixtures clean up is looked at, too.
    folder = request.path.parent.relative_to(_TESTS).as_posix()
    if folder in LEAK_CHECKED:
        request.getfixturevalue("leak_check")


@pytest.fixture
def leak_check(request: pytest.FixtureRequest) -> None:
    """Fail an async test if it leaves something behind; see `leaves_nothing`."""
    if not inspect.iscoroutinefunction(getattr(request.node, "obj", None)):
        return
    # What earlier tests have imported and made would be looked through each time.
    gc.collect()
    gc.freeze()
    request.getfixturevalue("leaves_nothing")


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
