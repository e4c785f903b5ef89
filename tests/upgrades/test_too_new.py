"""What a newer version has stored is refused, and stays as it is to the last byte.

Storage in memory has no version: it never meets another one.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from agent_runtime_nb import InMemoryStateStorage, RequestStatus
from agent_runtime_nb.conversations.json_format import import_conversation
from agent_runtime_nb.conversations.reading import list_conversations
from agent_runtime_nb.exceptions import SchemaTooNew
from agent_runtime_nb.storage_abstractions import HostInfo
from tests.upgrades.actors import Gate, runtime_on
from tests.upgrades.databases import Database
from tests.upgrades.story import MOCK, Scene

TOO_NEW = 1000


async def test_a_storage_of_a_newer_version_is_refused_and_left_as_it_is(
    database: Database,
):
    await database.set_version(TOO_NEW)
    before = await database.everything()

    with pytest.raises(SchemaTooNew) as refused:
        await database.storage().open(HostInfo("older", "an older host"))

    assert refused.value.found == TOO_NEW
    assert await database.everything() == before


async def test_a_runtime_on_a_storage_of_a_newer_version_does_not_start(
    database: Database,
):
    await database.set_version(TOO_NEW)
    before = await database.everything()
    runtime, _ = runtime_on(
        database.storage(), Gate(is_open=True), host="an older host"
    )

    with pytest.raises(SchemaTooNew):
        await runtime.start()

    assert runtime.state == "not started"
    assert await database.everything() == before


async def test_an_export_of_a_newer_version_is_refused_and_nothing_is_imported(
    version: Path,
):
    exported = json.loads((version / "exports" / "talk.json").read_text("utf-8"))
    storage = InMemoryStateStorage()
    runtime, _ = runtime_on(storage, Gate(is_open=True), host="older")
    await runtime.start()

    with pytest.raises(SchemaTooNew):
        await import_conversation(runtime, {**exported, "version": TOO_NEW})

    assert [one async for one in list_conversations(runtime)] == []
    await runtime.stop()


async def test_a_session_of_a_newer_version_fails_the_turn_and_stays(version: Path):
    file = version / "exports" / "mock.session.json"
    newer: Any = {**json.loads(file.read_text("utf-8")), "version": TOO_NEW}
    storage = InMemoryStateStorage()
    await storage.open(HostInfo("newer", "a newer host"))
    stored = json.dumps(newer).encode()
    await storage.write_state(MOCK, set={"session": stored})
    await storage.close()
    runtime, _ = runtime_on(storage, Gate(is_open=True), host="older")
    await runtime.start()

    response = await Scene(runtime).ask(MOCK, "mock-3", "next")

    assert response.status is RequestStatus.FAILED
    assert response.data["error"]["type"] == "SchemaTooNew"
    assert (await storage.read_state(MOCK)).values["session"] == stored
    await runtime.stop()
