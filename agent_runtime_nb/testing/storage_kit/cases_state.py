"""Cases of the storage contract: values, versions, and what readers see."""

import asyncio

from agent_runtime_nb.exceptions import Conflict, TooLarge
from agent_runtime_nb.storage_abstractions import (
    MOST_STATES,
    ActorChange,
    ActorState,
    IActorStateStorage,
    TurnRecord,
)
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
from agent_runtime_nb.testing.storage_kit.cases_names import KEYS
from agent_runtime_nb.testing.storage_kit.subject import Skipped

VALUES = (
    b"null",
    b"0",
    b'""',
    b"[1.5, 36893488147419103232]",
    b'{"a": {"b": [true, false]}}',
    b'"\\u0000\xc3\xa5\xf0\x9f\x98\x80"',
    b"",
)


@case(1)
async def an_unknown_actor_reads_as_empty(kit: CaseKit) -> None:
    """An actor that was never written has no values, no version and epoch 0."""
    storage = await kit.open()

    same(await storage.read_state(kit.actor()), ActorState({}, None, 0), "its state")
    same(await storage.read_turns(kit.actor()), [], "its turns")
    same(await storage.find_turn(kit.actor(), "m1"), None, "a turn of it")
    same((await storage.list_keys(kit.actor())).items, (), "its keys")


@case(1)
async def reading_an_unknown_actor_does_not_make_it(kit: CaseKit) -> None:
    """Looking at an actor leaves nothing behind."""
    storage = await kit.open()

    await storage.read_state(kit.actor())
    await storage.read_states([kit.actor(), kit.actor("another")])
    await storage.read_turns(kit.actor())
    await storage.find_turn(kit.actor(), "m1")
    await storage.trim(kit.actor(), 1)

    same(await kit.actors(storage), [], "the listed actors")


@case(2)
async def a_value_is_read_byte_for_byte(kit: CaseKit) -> None:
    """Values are bytes that nobody looks into: what was written is what is read."""
    storage = await kit.open()

    for number, value in enumerate(VALUES):
        actor_id = kit.actor(f"c{number}")
        await storage.write_state(actor_id, set={"k": value})

        same((await storage.read_state(actor_id)).values, {"k": value}, "the values")


@case(2)
async def every_part_of_a_turn_is_read_byte_for_byte(kit: CaseKit) -> None:
    """Body, result, entries and checkpoint of a turn are bytes, too; None is None."""
    storage = await kit.open()

    for number, value in enumerate((*VALUES, None)):
        actor_id = kit.actor(f"c{number}")
        epoch = (await storage.claim(actor_id)).epoch
        record = TurnRecord(position=1, message_id="m1", body=value)
        await storage.apply(actor_id, ActorChange(epoch=epoch, accepted=(record,)))
        ended = end(1, result=value, entries=value)
        change = ActorChange(epoch=epoch, ended=(ended,))
        if value is not None:
            change.checkpoint = (1, value)
        await storage.apply(actor_id, change)

        turn = await storage.find_turn(actor_id, "m1")
        holds(turn is not None, "the turn is found")
        if turn is not None:
            found = (turn.body, turn.result, turn.entries, turn.checkpoint)
            same(found, (value,) * 4, "body, result, entries and checkpoint")


@case(2)
async def a_value_of_the_declared_size_is_read_byte_for_byte(kit: CaseKit) -> None:
    """The largest value that the backend takes is taken."""
    storage = await kit.open()
    size = kit.subject.largest_value
    faces, rest = divmod(size - 2, 4)
    large = b'"' + b"\xf0\x9f\x98\x80" * faces + b"x" * rest + b'"'

    await storage.write_state(kit.actor(), set={"k": large})

    values = (await storage.read_state(kit.actor())).values
    holds(values == {"k": large}, f"{size:,} bytes are read as they were written")


@case(2)
async def a_value_over_the_declared_size_is_refused_whole(kit: CaseKit) -> None:
    """A change with one value that is too large changes nothing and says TooLarge."""
    if not kit.subject.refuses_larger:
        raise Skipped("the backend declares no limit (refuses_larger)")
    storage = await kit.open()
    epoch = await run_turns(storage, kit.actor(), PENDING)
    large = b"x" * (kit.subject.largest_value + 1)

    with refused("a large value in a turn", TooLarge):
        change = ActorChange(epoch=epoch, new_etag=f"{kit.namespace}-e1")
        change.ended, change.set = (end(1),), {"k": large}
        await storage.apply(kit.actor(), change)
    with refused("a large value outside turns", TooLarge):
        await storage.write_state(kit.actor(), set={"small": b"1", "k": large})

    same(await storage.read_state(kit.actor()), ActorState({}, None, epoch), "state")
    same((await storage.read_turns(kit.actor()))[0].status, PENDING, "the turn")


@case(2)
async def only_the_named_keys_are_read(kit: CaseKit) -> None:
    """`keys` limits what is read; missing ones are left out, none reads the version."""
    storage = await kit.open()
    values = {"a": b"1", "b": b"2", "c": b"3", "": b"4"}
    etag = await storage.write_state(kit.actor(), set=values)

    some = await storage.read_state(kit.actor(), iter(["a", "", "missing"]))
    none = await storage.read_state(kit.actor(), ())

    same(some, ActorState({"a": b"1", "": b"4"}, etag, 0), "two of the keys")
    same(none, ActorState({}, etag, 0), "no key")


@case(45)
async def several_actors_are_read_as_they_are_named(kit: CaseKit) -> None:
    """`read_states` answers in the order of the ids, for each; each as if read alone."""
    storage, other = await kit.open(), await kit.open()
    ids = [kit.actor(name) for name in ("z", "never", "a", "z", "gone", "claimed")]
    for one in (ids[0], ids[2], ids[4]):
        name = one.instance_id.encode()
        await storage.write_state(one, set={"k": name, "more": b"2"})
    await storage.delete_state(ids[4])
    await other.claim(ids[5])

    for reader in (storage, other):
        for keys in (None, ("more", "missing"), ()):
            states = await reader.read_states(ids, keys)
            alone = [await reader.read_state(one, keys) for one in ids]
            same(states, alone, f"what is read of {keys} together and alone")
        states = await reader.read_states(ids)
        found = [state.values.get("k") for state in states]
        same(found, [b"z", None, b"a", b"z", None, None], "the values")
        same([state.epoch for state in states], [0, 0, 0, 0, 1, 1], "the epochs")
        states[0].values.clear()
        same(len(states[3].values), 2, "the values of the same actor once more")
    same(await storage.read_states([]), [], "the states of nobody")


@case(45)
async def a_whole_page_of_actors_is_read_at_once(kit: CaseKit) -> None:
    """`read_states` takes as many ids as it may be asked for."""
    storage = await kit.open()
    ids = [kit.actor(f"c{number}") for number in range(MOST_STATES)]
    written = range(0, MOST_STATES, 100)
    for number in written:
        await storage.write_state(ids[number], set={"n": b"%d" % number})

    states = await storage.read_states(ids, iter(["n"]))

    same(len(states), MOST_STATES, "the number of states")
    found = {n: state.values["n"] for n, state in enumerate(states) if state.values}
    same(found, {n: b"%d" % n for n in written}, "the values")
    same(await kit.actors(storage), sorted(ids[n] for n in written), "the actors")


@case(45)
async def values_are_read_by_the_prefix_of_their_keys(kit: CaseKit) -> None:
    """`prefix` limits what `read_states` reads, also of named keys; it has no wildcards."""
    storage = await kit.open()
    await storage.write_state(kit.actor(), set=dict.fromkeys(KEYS, b"1"))
    prefixes = ("", "a", "a%", "a_", "a*", "a?", "a\\", "a[", "%", "_", "*")

    for prefix in (*prefixes, "\ud7ff", "\U0010ffff", "zz"):
        (state,) = await storage.read_states([kit.actor()], prefix=prefix)
        expected = sorted(key for key in KEYS if key.startswith(prefix))
        same(sorted(state.values), expected, f"the keys that start with {prefix!r}")

        named = (*KEYS[::2], prefix, "missing")
        (state,) = await storage.read_states([kit.actor()], named, prefix=prefix)
        expected = sorted(key for key in {*named} & {*expected})
        same(sorted(state.values), expected, f"those of some with {prefix!r}")


@case(3)
async def what_is_returned_is_the_callers_own(kit: CaseKit) -> None:
    """Changing what a verb has returned changes nothing that is stored."""
    storage = await kit.open()
    actor_id = kit.actor()
    epoch = await run_turns(storage, actor_id, COMPLETED, PENDING)
    await storage.write_state(actor_id, set={"k": b"1"})

    (await storage.read_state(actor_id)).values["k"] = b"changed"
    (await storage.read_turns(actor_id))[0].status = PENDING
    found = await storage.find_turn(actor_id, "m1")
    if found is not None:
        found.result = b"changed"
    (known,) = await storage.apply(actor_id, accept(epoch, (3, "m1")))
    known.entries = b"changed"
    claim = await storage.claim(actor_id)
    claim.values.clear()
    claim.open_turns[0].attempts = 99
    claim.open_turns.clear()

    again = await storage.claim(actor_id)
    same(again.values, {"k": b"1"}, "the values")
    same([turn.attempts for turn in again.open_turns], [0], "attempts of open turns")
    first = (await storage.read_turns(actor_id))[0]
    same((first.status, first.result), (COMPLETED, b'"done"'), "the first turn")
    same(first.entries, b"[1]", "its entries")


@case(3)
async def values_may_be_altered_after_the_call(kit: CaseKit) -> None:
    """The mapping given to `write_state` is read while it is called."""
    storage = await kit.open()
    values = {"k": b"1"}

    written = storage.write_state(kit.actor(), set=values)
    values["k"] = b"2"
    values["more"] = b"3"
    await written

    same((await storage.read_state(kit.actor())).values, {"k": b"1"}, "the values")


@case(5)
async def a_removed_key_is_gone_and_a_missing_one_is_no_error(kit: CaseKit) -> None:
    """Removing works on what is there and ignores what is not."""
    storage = await kit.open()
    etag = await storage.write_state(kit.actor(), set={"a": b"1", "b": b"2"})

    await storage.write_state(kit.actor(), set={}, remove=iter(["a", "x"]), etag=etag)

    same((await storage.read_state(kit.actor())).values, {"b": b"2"}, "the values")


@case(6)
async def the_version_must_be_the_stored_one(kit: CaseKit) -> None:
    """`write_state` with another version is refused and tells both versions."""
    storage = await kit.open()
    etag = await storage.write_state(kit.actor(), set={"k": b"1"})

    for stale in ("stale", None, etag + "x"):
        with refused(f"the version {stale}", Conflict) as refusal:
            await storage.write_state(kit.actor(), set={"k": b"2"}, etag=stale)

        facts = (refusal.error.expected, refusal.error.actual)
        same(facts, (stale, etag), "expected and actual version of the error")
    state = await storage.read_state(kit.actor())
    same(state, ActorState({"k": b"1"}, etag, 0), "the state")


@case(6)
async def an_actor_without_values_keeps_its_version(kit: CaseKit) -> None:
    """An actor that was written once is not as one that never was."""
    storage = await kit.open()
    etag = await storage.write_state(kit.actor(), set={})

    with refused("a write without version", Conflict):
        await storage.write_state(kit.actor(), set={"k": b"1"})

    await storage.write_state(kit.actor(), set={"k": b"2"}, etag=etag)
    same((await storage.read_state(kit.actor())).values, {"k": b"2"}, "the values")


@case(6)
async def a_change_with_a_stale_version_is_refused_whole(kit: CaseKit) -> None:
    """Nothing of a change is written if its version is not the stored one."""
    storage = await kit.open()
    actor_id = kit.actor()
    epoch = (await storage.claim(actor_id)).epoch
    first = accept(epoch, (1, "m1"))
    first.new_etag = f"{kit.namespace}-e1"
    await storage.apply(actor_id, first)

    for stale in (f"{kit.namespace}-e0", None):
        change = accept(epoch, (2, "m2"), started=[1])
        change.etag, change.new_etag = stale, f"{kit.namespace}-e2"
        change.checkpoint, change.ended = (1, b"1"), (end(1),)
        change.set, change.add_marks = {"k": b"1"}, frozenset({"outbox"})
        with refused("a stale version", Conflict):
            await storage.apply(actor_id, change)

    claim = await storage.claim(actor_id)
    same((claim.etag, claim.values), (first.new_etag, {}), "version and values")
    same((claim.next_position, claim.marks), (2, frozenset()), "position and marks")
    same(claim.open_turns, list(first.accepted), "the open turns")


@case(7)
async def one_of_fifty_creators_wins(kit: CaseKit) -> None:
    """Of many that create an actor at once, on two hosts, exactly one does."""
    hosts = [await kit.open(), await kit.open()]
    writes = [
        hosts[n % 2].write_state(kit.actor(), set={"winner": b"%d" % n})
        for n in range(50)
    ]

    outcomes = await asyncio.gather(*writes, return_exceptions=True)

    etags = [outcome for outcome in outcomes if isinstance(outcome, str)]
    same(len(etags), 1, "the number of winners")
    same(sum(isinstance(one, Conflict) for one in outcomes), 49, "those refused")
    state = await hosts[0].read_state(kit.actor())
    same(state.etag, etags[0], "the stored version")
    same(state.values["winner"], b"%d" % outcomes.index(etags[0]), "the winner")


@case(8)
async def a_counter_counts_each_success_once(kit: CaseKit) -> None:
    """Compare and set loses no update between four writers on two hosts."""
    hosts = [await kit.open(), await kit.open()]
    writers = (count(hosts[n % 2], kit, 20) for n in range(4))

    done = await asyncio.gather(*writers)

    values = (await hosts[0].read_state(kit.actor())).values
    same(values, {"n": b"%d" % sum(done)}, "the counter")


async def count(storage: IActorStateStorage, kit: CaseKit, times: int) -> int:
    """Count up by compare and set; returns how often it did."""
    done = 0
    while done < times:
        state = await storage.read_state(kit.actor())
        number = int(state.values.get("n", b"0")) + 1
        try:
            await storage.write_state(
                kit.actor(), set={"n": b"%d" % number}, etag=state.etag
            )
        except Conflict:
            continue
        done += 1
    return done


@case(10)
async def a_reader_never_sees_half_of_a_step(kit: CaseKit) -> None:
    """Values written together are seen together, on every host."""
    storage, other = await kit.open(), await kit.open()
    actor_id = kit.actor()

    async def write() -> None:
        etag = None
        for n in range(40):
            value = b"%d" % n
            values = {"x": value, "y": value}
            etag = await storage.write_state(actor_id, set=values, etag=etag)

    writing = asyncio.gather(write())
    while not writing.done():
        for reader in (storage, other):
            values = (await reader.read_state(actor_id)).values
            same(values.get("x"), values.get("y"), "two values written together")
        await asyncio.sleep(0)
    await writing


@case(11)
async def a_read_after_a_write_sees_it_on_every_host(kit: CaseKit) -> None:
    """Once a write has returned, every host reads it, and never something older."""
    hosts = [await kit.open(), await kit.open()]
    actor_id = kit.actor()
    etag = None

    for n in range(20):
        etag = await hosts[0].write_state(actor_id, set={"n": b"%d" % n}, etag=etag)

        for storage in hosts:
            state = await storage.read_state(actor_id)
            same(state, ActorState({"n": b"%d" % n}, etag, 0), "what a host reads")
