"""What an earlier version has exported, and its sessions, are of use to this one."""

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nbformat
import pytest

from agent_runtime_nb import ActorId, InMemoryStateStorage
from agent_runtime_nb.conversations.json_format import import_conversation
from agent_runtime_nb.conversations.reading import read_conversation
from agent_runtime_nb.storage_abstractions import HostInfo
from tests.upgrades.actors import Agents, Gate, runtime_on
from tests.upgrades.conftest import NEXT_OF_MOCK, check_turn
from tests.upgrades.story import MOCK, Scene

NAMES = ("talk", "fork", "pending", "mock")


def read_json(version: Path, name: str) -> Any:
    return json.loads((version / "exports" / name).read_text("utf-8"))


@asynccontextmanager
async def running(
    storage: InMemoryStateStorage,
) -> AsyncGenerator[tuple[Scene, Agents]]:
    runtime, agents = runtime_on(storage, Gate(is_open=True), host="later")
    await runtime.start()
    try:
        yield Scene(runtime), agents
    finally:
        await runtime.stop()


@pytest.mark.parametrize("name", NAMES)
async def test_an_exported_conversation_is_imported_whole(
    version: Path, expected: dict[str, Any], name: str
):
    exported = read_json(version, f"{name}.json")
    async with running(InMemoryStateStorage()) as (scene, _):
        actor_id = await import_conversation(scene.runtime, exported)
        found = await read_conversation(scene.runtime, actor_id)

    known = expected["conversations"][str(actor_id)]
    assert found.info.name == known["name"]
    assert list(found.info.discarded) == known["discarded"]
    for turn, of in zip(found.turns, known["turns"], strict=True):
        assert (turn.message_id, turn.status.value) == (of["message_id"], of["status"])
        assert turn.attempts == of["attempts"]
        check_turn(turn, of)


async def test_the_model_sees_of_an_import_what_it_saw(
    version: Path, expected: dict[str, Any]
):
    async with running(InMemoryStateStorage()) as (scene, _):
        exported = read_json(version, "talk.json")
        actor_id = await import_conversation(scene.runtime, exported)
        response = await scene.ask(actor_id, "count", "count")

    known = expected["conversations"][str(actor_id)]
    seen = len(known["seen_by_the_model"]) + 1  # and this one
    assert response.data["messages"][0]["content"] == str(seen)


def said_in(expected: dict[str, Any]) -> Sequence[str]:
    """What was said and answered and is still seen in the conversation `talk`."""
    [talk] = (
        one for one in expected["conversations"].values() if "seen_by_the_model" in one
    )
    return [
        text
        for turn in talk["turns"]
        if turn["message_id"] in talk["seen_by_the_model"]
        for text in (turn["said"], *turn["answered"].split(". "))
    ]


async def test_the_notebook_and_the_markdown_can_still_be_read(
    version: Path, expected: dict[str, Any]
):
    markdown = (version / "exports" / "talk.md").read_text("utf-8")
    notebook = read_json(version, "talk.ipynb")

    validate: Any = nbformat.validate  # it says little of its types
    validate(notebook)
    cells = "\n".join(cell["source"] for cell in notebook["cells"])
    for text in said_in(expected):
        assert text.strip() in markdown
        assert text.strip() in cells


async def with_session(version: Path, name: str, actor_id: ActorId) -> Any:
    """A storage with an imported conversation and the session that was kept of it."""
    storage = InMemoryStateStorage()
    async with running(storage) as (scene, _):
        exported = read_json(version, f"{name}.json")
        await import_conversation(scene.runtime, exported, to=actor_id)
    snapshot = json.dumps(read_json(version, f"{name}.session.json")).encode()
    await storage.open(HostInfo("writer", "writer"))
    await storage.write_state(actor_id, set={"session": snapshot})
    await storage.close()
    return storage


async def test_an_agent_goes_on_with_the_session_that_it_kept(version: Path):
    async with running(await with_session(version, "mock", MOCK)) as (scene, _):
        response = await scene.ask(MOCK, "mock-3", "next")

    assert response.data["messages"][0]["content"] == NEXT_OF_MOCK


async def test_an_approval_in_a_session_is_answered_and_its_tool_runs_once(
    version: Path,
):
    actor_id = ActorId("scripted", "pending")
    storage = await with_session(version, "pending", actor_id)

    async with running(storage) as (scene, agents):
        await scene.answer(actor_id, "yes")

    assert agents.erased == ["notes.txt"]
