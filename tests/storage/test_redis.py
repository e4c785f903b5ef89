"""What is special to the Redis storage; the rest is in the storage contract."""

import asyncio
import logging
import os
import re
import traceback
from collections.abc import Callable

import pytest
from hypothesis import assume, example, given, strategies as st

from agent_runtime_nb.exceptions import (
    Corrupt,
    InvalidRequest,
    ReadOnly,
    SchemaTooNew,
    StorageClosed,
    Unavailable,
)
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
)
from agent_runtime_nb.storage.redis.keys import Keys, actor_of, member_of
from agent_runtime_nb.storage.redis.storage import RedisStateStorage
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    HostInfo,
)
from tests.servers.redis_server import PASSWORD, RedisServer, required
from tests.storage.redis_fixtures import A, Open, accepted

HOST = HostInfo("h1", "the first")
SECRET = "s3cret/pass"  # noqa: S105 - to be looked for

# --- where it is, and what it does not tell


@pytest.mark.parametrize(
    ("url", "location"),
    [
        (f"redis://me:{SECRET}@server:6380/3", None),
        ("redis://me:s3cret@server:6380/3", "redis://server:6380/3"),
        ("redis://:s3cret@server", "redis://server:6379"),
        ("rediss://me:s3cret@server/0?ssl_cert_reqs=none", "rediss://server:6379"),
        ("redis://server:1/2?password=s3cret&username=me", "redis://server:1/2"),
        ("unix://:s3cret@/run/redis.sock?db=2", "unix:///run/redis.sock"),
    ],
)
def test_a_location_has_no_secret(url: str, location: str | None):
    if location is None:  # a slash in a password must be escaped
        with pytest.raises(InvalidRequest) as refused:
            RedisStateStorage(url)
        shown = "".join(traceback.format_exception(refused.value))
    else:
        storage = RedisStateStorage(url)
        assert storage.location == location
        shown = repr(storage) + repr(storage._endpoint) + storage.location

    assert "s3cret" not in shown


@pytest.mark.parametrize(
    "url",
    [
        "redis://me:s3cret@server:s3cret",
        "http://me:s3cret@server",
        "redis://me:s3cret@server/0?s3cret=s3cret",
        "redis://me:s3cret@server/0?socket_timeout=s3cret",
        "unix://",
        "redis://me:s3cret@[server",
    ],
)
def test_a_url_that_is_none_is_refused_without_being_quoted(url: str):
    with pytest.raises(InvalidRequest) as refused:
        RedisStateStorage(url)

    assert "s3cret" not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize("prefix", ["", "a{b", "a}b"])
def test_a_prefix_that_would_spoil_the_hash_tags_is_refused(prefix: str):
    with pytest.raises(InvalidRequest, match="prefix"):
        RedisStateStorage("redis://server", prefix=prefix)


async def test_a_wrong_password_is_told_without_the_password(redis_server: RedisServer):
    storage = RedisStateStorage(
        f"unix://:{SECRET.replace('/', '')}@{redis_server.socket}"
    )

    with pytest.raises(Unavailable, match="user name or the password") as refused:
        await storage.open(HOST)

    shown = "".join(traceback.format_exception(refused.value))
    assert SECRET.replace("/", "") not in shown


async def test_a_missing_password_is_told(redis_server: RedisServer):
    storage = RedisStateStorage(f"unix://{redis_server.socket}")

    with pytest.raises(Unavailable, match="user name or the password"):
        await storage.open(HOST)


@pytest.mark.parametrize(
    ("environment", "outcome"),
    [({}, pytest.skip.Exception), ({"CI": "true"}, pytest.fail.Exception)],
)
def test_a_server_that_cannot_be_had_is_a_skip_but_an_error_in_ci(
    environment: dict[str, str], outcome: type[BaseException]
):
    with pytest.raises(outcome, match=r"there is no redis-server"):
        required(None, environment)


# --- names


INSTANCES = st.text(
    # Often one of those that could end or forge a tag, or its escaped form.
    st.sampled_from("{}%27BD:/") | st.characters(exclude_categories=["Cc", "Cs"]),
    min_size=1,
    max_size=12,
)


@given(one=INSTANCES, two=INSTANCES)
@example("a}b", "a")
@example("{", "%7B")
@example("%7D", "}")
@example("%257D", "%7D")
def test_two_actors_never_share_a_key_and_each_has_one_slot(one: str, two: str):
    assume(one != two)

    keys = [Keys("p").actor(ActorId("t", name)) for name in (one, two)]

    tags = [{hash_tag(key) for key in of_one} for of_one in keys]
    assert len(tags[0]) == len(tags[1]) == 1
    assert tags[0] != tags[1]
    assert not set(keys[0]) & set(keys[1])
    assert len(set(keys[0])) == 5


def hash_tag(key: bytes) -> bytes:
    """What a cluster hashes of a key, by the rule of its specification."""
    found = re.search(rb"\{([^}]+)\}", key)
    assert found is not None
    assert key.index(b"{") == found.start()
    return found[1]


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "ab", "a.b"]), INSTANCES)))
def test_index_members_sort_as_ids_and_give_them_back(names: list[tuple[str, str]]):
    actors = [ActorId(*name) for name in names]

    members = sorted(map(member_of, actors))

    assert list(map(actor_of, members)) == sorted(actors)


async def test_two_prefixes_are_two_storages(redis_server: RedisServer, opened: Open):
    one = await opened(redis_server.url, prefix="one")
    two = await opened(redis_server.url, prefix="one-and-a-half")

    await one.write_state(A, set={"k": b"1"})

    assert (await two.read_state(A)).values == {}
    assert (await two.list_actors()).items == ()
    await one.delete_state(A)


# --- the server


PERSISTENCE: list[tuple[dict[str, str], tuple[bool, list[str]]]] = [
    ({"appendonly": "no"}, (False, ["set appendonly yes"])),
    ({"appendfsync": "everysec"}, (True, [])),
    (
        {"maxmemory": "100mb", "maxmemory_policy": "allkeys-lru"},
        (True, ["set maxmemory-policy noeviction"]),
    ),
    ({"maxmemory": "100mb", "maxmemory_policy": "noeviction"}, (True, [])),
]


@pytest.mark.parametrize(("options", "expected"), PERSISTENCE)
async def test_a_server_that_may_lose_conversations_is_told_of_with_the_way_out(
    private_server: Callable[..., RedisServer],
    opened: Open,
    caplog: pytest.LogCaptureFixture,
    options: dict[str, str],
    expected: tuple[bool, list[str]],
):
    server = private_server(**options)

    storage = await opened(server.url)

    durable, fixes = expected
    assert storage.durable is durable
    told = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert len(told) == len(fixes)
    for text, fix in zip(told, fixes, strict=True):
        assert fix in text
        assert storage.location in text
        assert PASSWORD not in text


@pytest.mark.parametrize(
    ("version", "expected"), [("2", SchemaTooNew), ("1.5", Corrupt), ("", Corrupt)]
)
async def test_a_schema_that_is_not_ours_is_left_untouched(
    redis_server: RedisServer,
    prefix: str,
    version: str,
    expected: type[Exception],
):
    redis_server.ask("SET", f"{prefix}:schema", version)

    with pytest.raises(expected):
        await RedisStateStorage(redis_server.url, prefix=prefix).open(HOST)

    assert redis_server.ask("KEYS", f"{prefix}:*") == [f"{prefix}:schema".encode()]
    assert redis_server.ask("GET", f"{prefix}:schema") == version.encode()


async def test_flushed_scripts_are_loaded_again(
    redis_server: RedisServer, opened: Open
):
    storage = await opened(redis_server.url)
    epoch = (await storage.claim(A)).epoch
    redis_server.ask("SCRIPT", "FLUSH")

    steps = [storage.apply(A, accepted(epoch, n)) for n in (1, 2, 3)]
    for step in steps:
        await step

    redis_server.ask("SCRIPT", "FLUSH")
    assert [turn.position for turn in await storage.read_turns(A)] == [1, 2, 3]


async def steps_at_once(storage: RedisStateStorage) -> list[object]:
    """Steps that show if they are done twice, or not at all."""
    epoch = (await storage.claim(A)).epoch
    await storage.apply(A, accepted(epoch, 1))
    starts = [storage.apply(A, ActorChange(epoch=epoch, started=(1,))) for _ in "123"]
    outcomes = await asyncio.gather(*starts, return_exceptions=True)
    (turn,) = await storage.read_turns(A)
    return [*outcomes, turn.attempts]


@pytest.mark.parametrize("denied", ["multi", "exec", "client"])
async def test_a_user_who_may_not_do_all_loses_nothing_and_does_nothing_twice(
    redis_server: RedisServer, opened: Open, denied: str, prefix: str
):
    user = ("on", f">{PASSWORD}", "~*", "&*", "+@all", f"-{denied}")
    redis_server.ask("ACL", "SETUSER", prefix, *user)
    storage = await opened(redis_server.url.replace("//:", f"//{prefix}:"))

    found = await steps_at_once(storage)

    assert found == [(), (), (), 3]


async def test_a_step_that_is_refused_when_it_comes_fails_alone(
    redis_server: RedisServer, opened: Open, prefix: str
):
    # It may not touch the keys of one actor.
    user = ("on", f">{PASSWORD}", f"~{prefix}:*one*", f"~{prefix}:[^{{]*", "+@all")
    redis_server.ask("ACL", "SETUSER", prefix, *user, f"~{prefix}:{{index*")
    storage = await opened(redis_server.url.replace("//:", f"//{prefix}:"))

    outcomes = await asyncio.gather(
        steps_at_once(storage),
        *(storage.claim(ActorId("worker", "two")) for _ in "12"),
        return_exceptions=True,
    )

    assert outcomes[0] == [(), (), (), 3]
    assert [type(outcome) for outcome in outcomes[1:]] == [Unavailable] * 2


async def test_a_key_of_somebody_else_is_corrupt_and_stays(
    redis_server: RedisServer, opened: Open
):
    storage = await opened(redis_server.url)
    key = storage._keys.actor(A).actor
    redis_server.ask("SET", key, "not ours")

    with pytest.raises(Corrupt):
        await storage.claim(A)

    assert redis_server.ask("GET", key) == b"not ours"


async def test_a_replica_can_be_read_from_but_not_opened_for_writing(
    private_server: Callable[..., RedisServer],
):
    server = private_server()
    server.ask("REPLICAOF", "127.0.0.1", "1")

    with pytest.raises(ReadOnly):
        await RedisStateStorage(server.url).open(HOST)


async def test_a_forked_child_is_refused(
    redis_server: RedisServer, opened: Open, monkeypatch: pytest.MonkeyPatch
):
    storage = await opened(redis_server.url)
    await storage.write_state(A, set={"k": b"1"})

    with monkeypatch.context() as child:
        child.setattr(os, "getpid", lambda: -1)
        with pytest.raises(StorageClosed, match="before a fork"):
            await storage.write_state(A, set={})
        with pytest.raises(StorageClosed, match="before a fork"):
            await storage.read_state(A)

    assert (await storage.read_state(A)).values == {"k": b"1"}


async def test_a_host_can_be_open_once(
    redis_server: RedisServer, opened: Open, prefix: str
):
    await opened(redis_server.url)
    second = RedisStateStorage(
        redis_server.url, prefix=(await opened(redis_server.url))._keys._prefix
    )

    with pytest.raises(Unavailable, match="already open"):
        await second.open(HostInfo("host-1", "another"))


async def test_an_actor_of_8_mb_is_kept_whole(redis_server: RedisServer, opened: Open):
    storage = await opened(redis_server.url)
    epoch = (await storage.claim(A)).epoch
    large = b"x" * (8 * 1024 * 1024)
    change = accepted(epoch, 1)
    change.accepted[0].body = change.accepted[0].checkpoint = large

    await storage.apply(A, change)
    await storage.apply(A, ActorChange(epoch=epoch, set={"k": large}))

    claim = await storage.claim(A)
    assert claim.values == {"k": large}
    assert claim.open_turns[0].body == claim.open_turns[0].checkpoint == large
    await storage.delete_state(A)
