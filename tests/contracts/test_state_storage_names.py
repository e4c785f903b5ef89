"""What every `IActorStateStorage` does with odd names, and how it lists."""

import asyncio
import itertools
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest

from agent_runtime_nb.runtime_abstractions import (
    ActorId,
)
from agent_runtime_nb.storage_abstractions import (
    IActorStateStorage,
)
from tests.contracts.state_storages import (
    COMPLETED,
    PENDING,
    A,
    B,
    accept,
    run_turns,
)

ODD_TEXTS = [
    "a/b",
    "../../etc/passwd",
    "'; drop table turn; --",
    "%",
    "_",
    "*",
    "{}",
    ":",
    " ",
    "trailing ",
    "trailing",
    "a",
    "A",
    "\u0130",
    "i\u0307",
    unicodedata.normalize("NFC", "\u00c5"),
    unicodedata.normalize("NFD", "\u00c5"),
    "\u202egnp.exe",
    "\U0001f600",
    "\uffff",
    "x" * 512,
]


# --- names


async def test_odd_instance_ids_are_different_actors(storage: IActorStateStorage):
    ids = [ActorId("echo", text) for text in ODD_TEXTS]
    for n, actor_id in enumerate(ids):
        await storage.write_state(actor_id, set={"n": b"%d" % n})

    for n, actor_id in enumerate(ids):
        assert (await storage.read_state(actor_id)).values == {"n": b"%d" % n}

    listed = (await storage.list_actors()).items
    assert listed == tuple(sorted(ids))


async def test_odd_keys_are_different_keys(storage: IActorStateStorage):
    values = {text: b"%d" % n for n, text in enumerate([*ODD_TEXTS, "", "a\0b", "a\0"])}
    await storage.write_state(A, set=values)

    assert (await storage.read_state(A)).values == values
    assert (await storage.read_state(A, values)).values == values
    assert (await storage.list_keys(A)).items == tuple(sorted(values))


async def test_odd_message_ids_are_different_turns(storage: IActorStateStorage):
    epoch = (await storage.claim(A)).epoch
    turns = list(enumerate([*ODD_TEXTS, "a\0b"], 1))

    assert await storage.apply(A, accept(epoch, *turns)) == ()

    for position, message_id in turns:
        found = await storage.find_turn(A, message_id)
        assert found is not None
        assert (found.position, found.message_id) == (position, message_id)


@pytest.mark.parametrize("prefix", ["", "a", "a%", "a_", "\ud7ff", "\U0010ffff", "zz"])
async def test_keys_are_listed_by_prefix_in_pages(
    storage: IActorStateStorage, prefix: str
):
    keys = ["", "a", "a%1", "a%2", "a_1", "aa", "b", "\ud7ff1", "\ue000"]
    keys += ["\U0010ffff", "\U0010ffff\U0010ffff", "A"]
    await storage.write_state(A, set=dict.fromkeys(keys, b"1"))

    found: list[str] = []
    after: str | None = None
    while True:
        page = await storage.list_keys(A, prefix, after=after, limit=2)
        found += page.items
        after = page.next
        if after is None:
            break

    assert found == sorted(key for key in keys if key.startswith(prefix))


# --- lists of actors


async def list_all(
    storage: IActorStateStorage,
    between: Callable[[], Any] = lambda: None,
    **options: Any,
) -> list[ActorId]:
    found: list[ActorId] = []
    after: str | None = None
    while True:
        page = await storage.list_actors(after=after, **options)
        found += page.items
        after = page.next
        if after is None:
            return found
        between()


async def test_actors_are_listed_in_order_in_pages(storage: IActorStateStorage):
    ids = [
        ActorId(type_name, f"c{n}")
        for type_name in ("b", "a", "a-b", "a.b")
        for n in range(11)
    ]
    for actor_id in ids:
        await storage.write_state(actor_id, set={"k": b"1"})

    assert await list_all(storage, limit=5) == sorted(ids)
    assert await list_all(storage, limit=44) == sorted(ids)
    of_a = sorted(actor_id for actor_id in ids if actor_id.type_name == "a")
    assert await list_all(storage, type_name="a", limit=3) == of_a
    assert await list_all(storage, type_name="none") == []


async def test_a_page_token_of_another_type_starts_nowhere_else(
    storage: IActorStateStorage,
):
    for type_name in ("a", "b", "c"):
        await storage.write_state(ActorId(type_name, "x"), set={"k": b"1"})

    assert (await storage.list_actors("b", after="a/x")).items == (ActorId("b", "x"),)
    assert (await storage.list_actors("b", after="c/x")).items == ()


async def test_each_actor_is_listed_once_while_others_come_and_go(
    storage: IActorStateStorage,
):
    ids = [ActorId("echo", f"{n:03}") for n in range(60)]
    for actor_id in ids:
        await storage.write_state(actor_id, set={"k": b"1"})
    numbers = itertools.count()
    steps: list[asyncio.Future[Any]] = []

    def come_and_go() -> None:
        n = next(numbers)
        steps.append(storage.write_state(ActorId("echo", f"{n:03}+"), set={"k": b"1"}))
        steps.append(storage.delete_state(ActorId("echo", f"{n - 1:03}+")))

    found = await list_all(storage, come_and_go, limit=7)
    await asyncio.gather(*steps)

    assert [actor_id for actor_id in found if actor_id in ids] == ids
    assert len(found) == len(set(found))


async def test_a_claimed_actor_without_anything_is_not_listed(
    storage: IActorStateStorage,
):
    await storage.claim(A)

    assert (await storage.list_actors()).items == ()


async def test_actors_with_open_turns_are_listed_alone(storage: IActorStateStorage):
    await run_turns(storage, A, COMPLETED)
    await run_turns(storage, B, COMPLETED, PENDING)
    await run_turns(storage, ActorId("other", "c"), PENDING)

    assert await list_all(storage, open_only=True, limit=1) == [
        B,
        ActorId("other", "c"),
    ]
    assert (await storage.list_actors("echo", open_only=True)).items == (B,)
