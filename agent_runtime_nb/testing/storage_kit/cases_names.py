"""Cases of the storage contract: odd names, and lists of keys and actors."""

import asyncio
import itertools
import unicodedata
from collections.abc import AsyncIterator
from typing import Any, cast

from agent_runtime_nb.exceptions import InvalidActorId
from agent_runtime_nb.runtime_abstractions import ActorId, StoredId
from agent_runtime_nb.storage_abstractions import ActorChange, IActorStateStorage
from agent_runtime_nb.testing.storage_kit.case import (
    COMPLETED,
    PENDING,
    CaseKit,
    accept,
    case,
    end,
    holds,
    refused,
    run_turns,
    same,
)

ODD_TEXTS = (
    "a/b",
    "../../etc/passwd",
    "'; drop table turn; --",
    "%",
    "_",
    "*",
    "{}",
    "{a}b",
    ":",
    "?#",
    "\\",
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
)

KEYS = (
    *("", "a", "a%1", "a%2", "a_1", "a*", "a?", "aa", "a\\", "a[a]", "b", "A"),
    *("\ud7ff1", "\ue000", "\U0010ffff", "\U0010ffff\U0010ffff"),
)


@case(19)
async def odd_instance_ids_are_different_actors(kit: CaseKit) -> None:
    """Ids are compared exactly: no case, accent, space or wildcard is anything else."""
    storage = await kit.open()
    ids = [kit.actor(text) for text in ODD_TEXTS]
    for n, actor_id in enumerate(ids):
        await storage.write_state(actor_id, set={"n": b"%d" % n})

    for n, actor_id in enumerate(ids):
        values = (await storage.read_state(actor_id)).values
        same(values, {"n": b"%d" % n}, f"the values of {actor_id!r}")
    same(await kit.actors(storage), sorted(ids), "the listed actors")
    await storage.delete_state(kit.actor("%"))
    same(len(await kit.actors(storage)), len(ids) - 1, "those left after one delete")


@case(19)
async def the_parts_of_an_id_do_not_run_together(kit: CaseKit) -> None:
    """No separator inside a part makes two actors, or two of their keys, one."""
    storage = await kit.open()
    ids = [
        kit.actor("c", "a:b"),
        kit.actor("b:c", "a"),
        kit.actor("b/c", "a"),
        kit.actor("c", "a"),
        kit.actor("c:k", "a"),
        kit.actor("{a}", "a"),
    ]
    for n, actor_id in enumerate(ids):
        await storage.write_state(actor_id, set={"k": b"%d" % n, "k:c": b"x"})

    for n, actor_id in enumerate(ids):
        values = (await storage.read_state(actor_id)).values
        same(values, {"k": b"%d" % n, "k:c": b"x"}, f"the values of {actor_id!r}")


@case(19)
async def odd_keys_are_different_keys(kit: CaseKit) -> None:
    """A key may be any text, the empty one and U+0000 too."""
    storage = await kit.open()
    texts = [*ODD_TEXTS, "", "a\0b", "a\0"]
    values = {text: b"%d" % n for n, text in enumerate(texts)}
    await storage.write_state(kit.actor(), set=values)

    same((await storage.read_state(kit.actor())).values, values, "the values")
    found = (await storage.read_state(kit.actor(), values)).values
    same(found, values, "the values by their keys")
    keys = (await storage.list_keys(kit.actor())).items
    same(keys, tuple(sorted(values)), "the listed keys")
    await storage.write_state(kit.actor("empty"), set={"": b""})
    found = (await storage.read_state(kit.actor("empty"))).values
    same(found, {"": b""}, "an empty value of the empty key")


@case(19)
async def odd_message_ids_are_different_turns(kit: CaseKit) -> None:
    """A message id may be any text and is compared exactly."""
    storage = await kit.open()
    epoch = (await storage.claim(kit.actor())).epoch
    turns = list(enumerate([*ODD_TEXTS, "a\0b"], 1))

    known = await storage.apply(kit.actor(), accept(epoch, *turns))

    same(known, (), "the known turns")
    for position, message_id in turns:
        found = await storage.find_turn(kit.actor(), message_id)
        holds(found is not None, f"{message_id!r} is found")
        if found is not None:
            facts = (found.position, found.message_id)
            same(facts, (position, message_id), "the turn")


@case(19)
async def what_no_backend_may_see_is_no_actor_id(kit: CaseKit) -> None:
    """Control characters and surrogates are refused before they reach a backend."""
    for text in ("a\0b", "\0", "\ud800", "a\nb", "\x7f", "", "x" * 513):
        with refused(repr(text), InvalidActorId):
            kit.actor(text)


@case(20)
async def keys_are_listed_by_prefix_in_pages(kit: CaseKit) -> None:
    """A prefix is compared as it is; wildcards and the highest characters too."""
    storage = await kit.open()
    await storage.write_state(kit.actor(), set=dict.fromkeys(KEYS, b"1"))
    prefixes = ("", "a", "a%", "a_", "a*", "a?", "a\\", "a[", "%", "_", "*")

    for prefix in (*prefixes, "\ud7ff", "\U0010ffff", "zz"):
        found: list[str] = []
        after: str | None = None
        while after is not None or not found:
            page = await storage.list_keys(kit.actor(), prefix, after=after, limit=2)
            found += page.items
            after = page.next
            if after is None:
                break
        expected = sorted(key for key in KEYS if key.startswith(prefix))
        same(found, expected, f"the keys that start with {prefix!r}")


@case(22)
async def keys_are_listed_after_a_key_that_is_gone(kit: CaseKit) -> None:
    """A page token is a place in the order, whether or not something is there."""
    storage = await kit.open()
    values = dict.fromkeys("abcd", b"1")
    etag = await storage.write_state(kit.actor(), set=values)
    page = await storage.list_keys(kit.actor(), limit=2)
    await storage.write_state(kit.actor(), set={}, remove=["b"], etag=etag)

    rest = await storage.list_keys(kit.actor(), after=page.next)

    same((rest.items, rest.next), (("c", "d"), None), "the next page")


# --- lists of actors ------------------------------------------------------------------


async def pages(
    storage: IActorStateStorage, **options: Any
) -> AsyncIterator[tuple[ActorId, ...]]:
    """All pages of a list of actors."""
    after: str | None = None
    while True:
        page = await storage.list_actors(after=after, **options)
        yield page.items
        after = page.next
        if after is None:
            return


async def list_all(storage: IActorStateStorage, **options: Any) -> list[ActorId]:
    """All actors of a list."""
    return [one async for page in pages(storage, **options) for one in page]


@case(21)
async def actors_are_listed_in_order_in_pages(kit: CaseKit) -> None:
    """Sorted by type, then by instance, by code points, each exactly once."""
    storage = await kit.open()
    types = ("b", "a", "a-b", "a.b", "B")
    ids = [kit.actor(f"c{n}", name) for name in types for n in range(11)]
    for actor_id in ids:
        await storage.write_state(actor_id, set={"k": b"1"})

    same(await kit.actors(storage, limit=5), sorted(ids), "all, in pages of 5")
    same(await kit.actors(storage, limit=55), sorted(ids), "all, in one page")
    of_a = sorted(one for one in ids if one.type_name == kit.type_name("a"))
    found = await list_all(storage, type_name=kit.type_name("a"), limit=3)
    same(found, of_a, "those of a type, in pages of 3")
    found = await list_all(storage, type_name=kit.type_name("a"), limit=11)
    same(found, of_a, "those of a type, in a page that they fill")
    same(await list_all(storage, type_name=kit.type_name("x")), [], "of no type")


@case(21)
async def what_is_stored_under_no_id_is_passed_over_and_can_be_deleted(
    kit: CaseKit,
) -> None:
    """It ends no list, its page names it, and it goes when it is deleted."""
    storage = await kit.open()
    ids = [kit.actor(f"c{n}") for n in range(4)]
    broken = [
        *(StoredId(kit.type_name("echo"), f"c1\n{n}") for n in range(7)),
        StoredId(kit.type_name("echo"), ""),
        StoredId(kit.type_name("echo"), "x" * 513),
        StoredId(kit.type_name("echo/c1"), "c2"),
        StoredId(kit.type_name("echo\n"), "c2"),
    ]
    # As a version that did not look at ids would have written it.
    for stored in [*ids, *broken]:
        epoch = await run_turns(storage, cast("ActorId", stored), PENDING)
        change = ActorChange(epoch=epoch, add_marks=frozenset({"outbox"}))
        await storage.apply(cast("ActorId", stored), change)

    for options in ({}, {"open_only": True}, {"mark": "outbox"}):
        for limit in (1, 2, 4, 200):
            found = [page async for page in kit.pages(storage, limit=limit, **options)]
            listed = [one for page in found for one in page.items]
            named = {one for page in found for one in page.unreadable}
            same(listed, ids, f"the actors of {options}, in pages of {limit}")
            same(named, set(broken), f"what is named beside {options}")
    of_type = await list_all(storage, type_name=kit.type_name("echo"), limit=2)
    same(of_type, ids, "those of a type, in pages of 2")
    for stored in broken:
        holds(await storage.delete_unreadable(stored), f"{stored!r} was there")
    found = [page async for page in kit.pages(await kit.open(), limit=2)]
    same([one for page in found for one in page.unreadable], [], "what is left unread")
    same([one for page in found for one in page.items], ids, "the actors that stay")


@case(21, timeout=600)
async def each_actor_is_listed_once_while_others_come_and_go(kit: CaseKit) -> None:
    """Pages neither repeat nor leave out an actor that stays."""
    storage = await kit.open()
    ids = [kit.actor(f"{n:06}") for n in range(kit.subject.listed)]
    for first in range(0, len(ids), 100):
        some = ids[first : first + 100]
        await asyncio.gather(
            *(storage.write_state(actor_id, set={"k": b"1"}) for actor_id in some)
        )
    numbers = itertools.count()
    found: list[ActorId] = []
    limit = max(7, len(ids) // 50)

    async for page in pages(storage, type_name=kit.type_name("echo"), limit=limit):
        found += page
        n = next(numbers) * limit // 7
        await asyncio.gather(
            storage.write_state(kit.actor(f"{n:06}+"), set={"k": b"1"}),
            storage.delete_state(kit.actor(f"{n - 1:06}+")),
        )

    same(
        [one for one in found if not one.instance_id.endswith("+")],
        ids,
        "the actors that stayed",
    )
    same(len(found), len(set(found)), "the number of listed actors")


@case(22)
async def a_page_token_outlives_its_actor(kit: CaseKit) -> None:
    """The list goes on after an actor that is gone, on another host as well."""
    storage, other = await kit.open(), await kit.open()
    ids = [kit.actor(f"c{n}") for n in range(5)]
    for actor_id in ids:
        await storage.write_state(actor_id, set={"k": b"1"})
    page = await storage.list_actors(kit.type_name("echo"), limit=2)
    await storage.delete_state(ids[1])

    rest = await other.list_actors(kit.type_name("echo"), after=page.next)

    same(page.next, str(ids[1]), "the token: the text of the last id")
    same((rest.items, rest.next), (tuple(ids[2:]), None), "the next page")


@case(23)
async def any_text_is_a_place_in_the_order(kit: CaseKit) -> None:
    """A token that nobody gave starts after its place; it is never looked into."""
    storage = await kit.open()
    for name in ("a", "b", "c"):
        await storage.write_state(kit.actor("x", name), set={"k": b"1"})
    b = kit.actor("x", "b")

    for token, expected in (
        (str(kit.actor("x", "a")), (b,)),
        (str(kit.actor("x", "c")), ()),
        (f"{kit.type_name('b')}/w", (b,)),
        (f"{kit.type_name('b')}/y", ()),
        (kit.type_name("b"), (b,)),
        ("%", (b,)),
        ("", (b,)),
        ("'; drop table actor; --", (b,)),
    ):
        page = await storage.list_actors(kit.type_name("b"), after=token)
        same(page.items, expected, f"those after {token!r}")


@case(21)
async def a_claimed_actor_without_anything_is_not_listed(kit: CaseKit) -> None:
    """Only actors that have turns or values are listed."""
    storage = await kit.open()
    await storage.claim(kit.actor())

    same(await kit.actors(storage), [], "the listed actors")


@case(21)
async def an_actor_whose_last_value_is_removed_is_not_listed(kit: CaseKit) -> None:
    """Without turns and values it has nothing to show, whatever its version."""
    storage = await kit.open()
    etag = await storage.write_state(kit.actor(), set={"k": b"1"})
    await storage.write_state(kit.actor(), set={}, remove=["k"], etag=etag)

    same(await kit.actors(storage), [], "the listed actors")


@case(21)
async def actors_with_open_turns_are_listed_alone(kit: CaseKit) -> None:
    """`open_only` finds what recovery looks for, and only that."""
    storage = await kit.open()
    ids = [kit.actor(name) for name in ("open", "open too", "done")]
    await run_turns(storage, ids[0], COMPLETED, PENDING)
    await run_turns(storage, ids[1], PENDING)
    epoch = await run_turns(storage, ids[2], PENDING)
    await storage.write_state(kit.actor("state"), set={"k": b"1"})
    options = {"type_name": kit.type_name("echo"), "open_only": True, "limit": 1}

    before = await list_all(storage, **options)
    await storage.apply(ids[2], ActorChange(epoch=epoch, ended=(end(1),)))

    same(before, sorted(ids), "before the end of a turn")
    same(await list_all(storage, **options), ids[:2], "after it")


@case(41)
async def actors_are_found_by_their_marks(kit: CaseKit) -> None:
    """`mark` finds the actors that have it, in order and in pages."""
    storage = await kit.open()
    ids = [kit.actor(f"c{n}") for n in range(6)]
    for n, actor_id in enumerate(ids):
        epoch = await run_turns(storage, actor_id, PENDING if n % 2 else COMPLETED)
        marks = {"dead"} if n % 3 else {"dead", "outbox"}
        change = ActorChange(epoch=epoch, add_marks=frozenset(marks))
        await storage.apply(actor_id, change)
    options = {"type_name": kit.type_name("echo"), "limit": 2}

    same(await list_all(storage, mark="dead", **options), ids, "those with dead")
    found = await list_all(storage, mark="outbox", **options)
    same(found, [ids[0], ids[3]], "those with outbox")
    found = await list_all(storage, mark="outbox", open_only=True, **options)
    same(found, [ids[3]], "those with outbox and an open turn")
    same(await list_all(storage, mark="out", **options), [], "those with out")
    same(await kit.actors(storage, mark="outbox"), [ids[0], ids[3]], "of all types")


@case(41)
async def a_mark_alone_lists_no_actor(kit: CaseKit) -> None:
    """An actor with a mark and neither turns nor values is not listed."""
    storage = await kit.open()
    epoch = (await storage.claim(kit.actor())).epoch
    change = ActorChange(epoch=epoch, add_marks=frozenset({"dead"}))
    await storage.apply(kit.actor(), change)

    same(await kit.actors(storage, mark="dead"), [], "the listed actors")
