"""A plugin of pytest: each test has the markers of what it starts.

By these `make quick` and the parts of `make test` choose.
"""

from typing import Any

import pytest

MARKERS_OF = {
    "child": ("kill",),
    "chromium": ("browser",),
    "cosmos_server": ("external_service",),
    "postgres_server": ("external_service", "postgres"),
    "redis_program": ("external_service",),
    "redis_server": ("external_service",),
    "start_kernel": ("notebook",),
}
"""What a test needs beside its own process, by the fixture that it asks for."""


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
    """A test that starts something has its marker: a run that leaves it out is sure."""
    item: pytest.Item = request._pyfuncitem
    for marker in MARKERS_OF.get(fixturedef.argname, ()):
        if item.get_closest_marker(marker) is None:
            pytest.fail(f"{item.nodeid} uses {fixturedef.argname}: mark it {marker}")
