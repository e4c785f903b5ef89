"""Faults of actors: F3 to F6, F30, F33 and F34 of the list in docs/faults.md."""

import asyncio
import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

from agent_runtime_nb.exceptions import ActorQuarantined, UnknownActorType
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorRequestMessage,
    IActor,
    IActorRuntimeContext,
    RequestStatus,
)
from agent_runtime_nb.storage.sqlite.storage import SqliteStateStorage
from tests.fakes import ONE, Gate, Handle, HandlingActor, echo, soon
from tests.faults.conftest import Begin
from tests.faults.oracle import AT_ONCE

FAILED = RequestStatus.FAILED
A, B, C = (ActorId("worker", name) for name in "abc")


def error_type(data: Any) -> str:
    return data["error"]["type"]


def raises(error: BaseException) -> Handle:
    async def handle(_: IActorRuntimeContext, message: ActorRequestMessage) -> Any:
        if message.params == "fine":
            return "fine"
        raise error

    return handle


# --- F3, F4, F5, F6


async def test_an_actor_that_raises_loses_its_own_turn_and_the_next_gets_a_fresh_one(
    begin: Begin,
) -> None:
    """F3."""
    world = await begin(raises(ValueError("no")))

    before = await world.ask("fine")
    failed = await world.ask("bad", message_id="m-bad")
    await world.others_answer()
    after = await world.ask("fine")

    assert (before.data, after.data) == ("fine", "fine")
    assert (failed.status, error_type(failed.data)) == (FAILED, "ValueError")
    assert world.made == 2
    await world.judge("m-bad")


async def test_an_actor_that_always_raises_is_put_in_quarantine_alone_until_revived(
    begin: Begin,
) -> None:
    """F4."""
    world = await begin(raises(ValueError("no")))
    ids = [f"m-{n}" for n in range(4)]

    for message_id in ids:
        await world.ask("bad", message_id=message_id)
    with pytest.raises(ActorQuarantined):
        await world.send("bad")
    await world.others_answer()
    neighbour = await world.ask("fine", actor_id=B)
    revived = await world.runtime.revive(ONE)

    assert neighbour.data == "fine"
    assert revived
    await world.judge(*ids)


async def test_a_factory_that_raises_fails_its_requests_until_it_works_again(
    begin: Begin,
) -> None:
    """F5."""
    world = await begin()

    def broken(_: IActorRuntimeContext) -> IActor:
        raise RuntimeError("no model")

    def mended(_: IActorRuntimeContext) -> IActor:
        return HandlingActor(world.counted)

    world.runtime.register_actor_type("worker", broken, restart=AT_ONCE)
    failed = await world.ask("bad", message_id="m-start")
    await world.others_answer()
    with pytest.raises(UnknownActorType):
        await world.send(actor_id=ActorId("nobody", "one"))
    world.runtime.register_actor_type("worker", mended, restart=AT_ONCE)

    assert (failed.status, error_type(failed.data)) == (FAILED, "ActorStartFailed")
    await world.judge("m-start")


@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt(),
        SystemExit(3),
        asyncio.CancelledError(),
        GeneratorExit(),
        BaseException("own"),
        StopAsyncIteration(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_is_no_ordinary_exception_ends_one_turn_and_never_the_process(
    begin: Begin, error: BaseException
) -> None:
    """F6."""
    world = await begin(raises(error))

    failed = await world.ask("bad", message_id="m-base")
    await world.others_answer()

    assert failed.status in (FAILED, RequestStatus.CANCELLED)
    await world.judge("m-base")


# --- F30


CELL = """
from tests.fakes import HandlingActor, answer

class Worker(HandlingActor):
    def __init__(self):
        async def handle(context, message):
            n = await context.read_state("n", 0) + 1
            await context.write_state("n", n)
            return ["{answer}", n]

        super().__init__(handle)
"""


async def test_a_class_that_is_defined_again_serves_from_the_next_turn_with_its_state(
    begin: Begin,
) -> None:
    """F30: the cell is run again, as a turn of the old class runs."""
    gate = Gate()
    world = await begin(gate)
    held = await world.send("old")
    await gate.begun.get()

    cell: dict[str, Any] = {"__name__": "cell"}
    exec(CELL.format(answer="new"), cell)  # noqa: S102 - as a notebook does
    world.runtime.register_actor_type("worker", lambda _: cell["Worker"]())
    waiting = await world.send("second")
    await world.others_answer()
    gate.passing.set()
    old, new = await soon(held.get_response()), await soon(waiting.get_response())

    assert old.data == "old"
    assert new.data == ["new", 2]
    world.runtime.register_actor_type("worker", lambda _: HandlingActor(world.counted))
    await world.judge()


async def test_a_module_that_is_reloaded_serves_from_the_next_turn_with_its_state(
    begin: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F30: importlib.reload."""
    world = await begin()
    path = tmp_path / "edited_actors.py"
    path.write_text(CELL.format(answer="first"), encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    module: Any = importlib.import_module("edited_actors")
    world.runtime.register_actor_type("worker", lambda _: module.Worker())

    before = await world.ask()
    path.write_text(CELL.format(answer="edited"), encoding="utf-8")
    importlib.invalidate_caches()
    importlib.reload(module)
    world.runtime.register_actor_type("worker", lambda _: module.Worker())
    after = await world.ask()
    del sys.modules["edited_actors"]

    assert (before.data, after.data) == (["first", 1], ["edited", 2])
    world.runtime.register_actor_type("worker", lambda _: HandlingActor(world.counted))
    await world.judge()


# --- F33


def endless() -> list[Any]:
    """A list that contains itself."""
    found: list[Any] = []
    found.append(found)
    return found


@pytest.mark.parametrize(
    "value",
    [object(), {1, 2}, b"bytes", {1: "a key"}, endless(), "\ud800", float("nan")],
    ids=["object", "set", "bytes", "key", "endless", "surrogate", "nan"],
)
@pytest.mark.parametrize("where", ["state", "answer"])
async def test_what_is_no_json_fails_the_turn_and_the_old_state_stays(
    begin: Begin, value: Any, where: str
) -> None:
    """F33."""

    async def handle(
        context: IActorRuntimeContext, message: ActorRequestMessage
    ) -> Any:
        if where == "answer":
            return value
        await context.write_state("memory", value)
        return "written"

    world = await begin()
    await world.ask("old")
    world.handle = handle

    failed = await world.ask(message_id="m-json")
    await world.others_answer()

    assert (failed.status, error_type(failed.data)) == (FAILED, "NotJson")
    assert (await world.storage.read_state(ONE)).values == {"n": b"1"}
    await world.judge()


async def test_a_state_that_no_storage_takes_fails_the_turn_and_the_old_one_stays(
    begin: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F33: larger than a value may be, in a real storage with a small bound."""

    async def handle(context: IActorRuntimeContext, _: ActorRequestMessage) -> Any:
        await context.write_state("memory", "x" * 9_000_000)
        return "written"

    world = await begin(echo, SqliteStateStorage(tmp_path / "state.db"))
    await world.ask("old")
    world.handle = handle

    failed = await world.ask(message_id="m-huge")
    await world.others_answer()

    assert (failed.status, error_type(failed.data)) == (FAILED, "TooLarge")
    assert (await world.storage.read_state(ONE)).values == {"n": b"1"}
    await world.judge()


# --- F34


@pytest.mark.parametrize(
    "chain", [(A,), (A, B), (A, B, C)], ids=["itself", "two", "three"]
)
async def test_actors_that_wait_for_each_other_are_told_at_once_and_stay_usable(
    begin: Begin, chain: tuple[ActorId, ...]
) -> None:
    """F34."""
    after = dict(zip(chain, (*chain[1:], chain[0]), strict=True))

    async def handle(context: IActorRuntimeContext, _: ActorRequestMessage) -> Any:
        handle = await context.send_request(after[context.actor_id], "run")
        return (await handle.get_response()).data

    world = await begin(handle)

    response = await world.ask(actor_id=A)
    await world.others_answer()

    assert "DeadlockDetected" in str(response.data)
    await world.judge(same_actor=A)
    for actor_id in chain:
        assert (await world.ask("free", actor_id=actor_id)).data == "free"
