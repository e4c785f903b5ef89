"""The fixtures of all versions, loaded into each backend, and a runtime on them."""

import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent_runtime_nb import TurnView
from agent_runtime_nb.conversations.entries import text_of, turn_entries
from tests.upgrades.actors import Agents, Gate, runtime_on
from tests.upgrades.databases import (
    CosmosDatabase,
    Database,
    PostgresDatabase,
    RedisDatabase,
    SqliteDatabase,
)
from tests.upgrades.story import Scene

FOLDER = Path(__file__).parent
VERSIONS = sorted(path.parent.name for path in FOLDER.glob("*/expected.json"))

BACKENDS: Mapping[str, Callable[[pytest.FixtureRequest], Database]] = {
    "sqlite": lambda request: SqliteDatabase(request.getfixturevalue("tmp_path")),
    "postgres": lambda request: PostgresDatabase(
        request.getfixturevalue("postgres_server")
    ),
    "redis": lambda request: RedisDatabase(request.getfixturevalue("redis_server")),
    "cosmos": lambda request: CosmosDatabase(request.getfixturevalue("cosmos_server")),
}

NEXT_OF_MOCK = "I am only a mock, but I would say: try it and look what happens."
"""What the mock agent says in the third turn of a conversation."""

Later = Callable[..., AbstractAsyncContextManager[tuple[Scene, Agents]]]


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> Path:
    """The folder with the fixtures of a version."""
    return FOLDER / request.param


@pytest.fixture
def expected(version: Path) -> dict[str, Any]:
    """What must be found in it."""
    return json.loads((version / "expected.json").read_text(encoding="utf-8"))


@pytest.fixture(params=BACKENDS)
async def database(request: pytest.FixtureRequest, version: Path) -> Database:
    """A database with what that version has stored in this backend."""
    database = BACKENDS[request.param](request)
    await database.load((version / database.file_name).read_bytes())
    return database


@pytest.fixture
def later(database: Database) -> Later:
    """A host of the code as it is, on what is stored; given more types of workers."""

    @asynccontextmanager
    async def later(*more: str) -> AsyncGenerator[tuple[Scene, Agents]]:
        gate = Gate(is_open=True)
        runtime, agents = runtime_on(database.storage(), gate, host="later", more=more)
        await runtime.start()
        try:
            yield Scene(runtime), agents
        finally:
            await runtime.stop()

    return later


def check_turn(turn: TurnView, known: dict[str, Any]) -> None:
    """Everything that is known of a turn that has ended."""
    data: Any = turn.data
    assert turn.metadata == known.get("metadata", {})
    if "said" in known:
        entries = turn_entries(turn)
        texts = {
            role: "".join(text_of(entry) for entry in entries if entry["role"] == role)
            for role in ("user", "assistant")
        }
        assert texts == {"user": known["said"], "assistant": known["answered"]}
    if "data" in known:
        assert data == known["data"]
    if "entries" in known:
        assert turn.entries == known["entries"]
    if "checkpoint" in known:
        assert turn.checkpoint == known["checkpoint"]
    for key, value in known.get("error", {}).items():
        assert data["error"][key] == value
