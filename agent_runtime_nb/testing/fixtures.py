"""Fixtures for pytest, which must be installed, with anyio's plugin for async ones.

For example:

    pytest_plugins = ["agent_runtime_nb.testing.fixtures"]

    @pytest.mark.usefixtures("leaves_nothing")
    async def test_my_actor() -> None: ...
"""

from collections.abc import AsyncGenerator

import pytest

from agent_runtime_nb.testing.leaks import no_leaks

_ANYIO = "TestRunner."  # it runs the parts of a test in tasks of its own


@pytest.fixture
async def leaves_nothing() -> AsyncGenerator[None]:
    """Fail the test if it leaves tasks, threads, files or pending futures behind.

    Ask for it before other fixtures: what they clean up is then looked at, too.
    """
    async with no_leaks(ignore=_ANYIO):
        yield
