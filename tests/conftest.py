"""What every test shares."""

import gc
import inspect
from collections.abc import AsyncIterator
from pathlib import Path
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
from tests import effort
from tests.fakes import Handle, HandlingActor, StartRuntime, echo

pytest.register_assert_rewrite("tests.same_values")
assert effort.PROFILES, "registered, before an option of the command names one"

# What a test needs beside its own process, by the fixture that it asks for. These
# markers are nobody's to remember: they are what `make quick` leaves out.
MARKERS_OF = {
    "child": ("kill",),
    "chromium": ("browser",),
    "cosmos_server": ("external_service",),
    "postgres_server": ("external_service", "postgres"),
    "redis_program": ("external_service",),
    "redis_server": ("external_service",),
    "start_kernel": ("notebook",),
}

# Where the fixtures of servers are, and the ones that are shipped.
pytest_plugins = (
    "agent_runtime_nb.testing.fixtures",
    "tests.servers.cosmos_server",
    "tests.servers.postgres_server",
    "tests.servers.pgbouncer",
    "tests.servers.redis_server",
    "tests.contracts.cosmos_kind",
    "tests.contracts.postgres_kind",
    "tests.contracts.redis_kind",
    "tests.storage.cosmos_places",
    "tests.storage.postgres_places",
    "tests.storage.redis_places",
    "tests.token_watch",
)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Asyncio only: Jupyter kernels run nothing else."""
    return "asyncio"


@pytest.hookimpl(tryfirst=True)  # before the tests are chosen by their markers
def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Mark each test by the fixtures that it uses."""
    for item in items:
        for name in _fixtures_of(item) & MARKERS_OF.keys():
            for marker in MARKERS_OF[name]:
                item.add_marker(marker)


def _fixtures_of(item: pytest.Function) -> set[str]:
    # A suite over all storages fetches a server's fixture by the name of its parameter.
    callspec = getattr(item, "callspec", None)
    values = callspec.params.values() if callspec else ()
    named = {f"{value}_server" for value in values if isinstance(value, str)}
    return named.union(item.fixturenames)


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> None:
    """A run that leaves servers, browsers or kernels out starts none."""
    expression: str = request.config.option.markexpr
    for marker in MARKERS_OF.get(fixturedef.argname, ()):
        if f"not {marker}" in expression:
            pytest.fail(f"{fixturedef.argname} is for tests with the marker {marker}")


def pytest_collection_finish() -> None:
    """Let the look for pending futures pass over what was imported."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _no_test_of_the_runtime_leaks(request: pytest.FixtureRequest) -> None:
    # First of all, so that what the other fixtures clean up is looked at, too. Tests in
    # folders share servers, browsers and kernels that are started when first needed.
    is_async = inspect.iscoroutinefunction(getattr(request.node, "obj", None))
    if is_async and request.path.parent == Path(__file__).parent:
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
