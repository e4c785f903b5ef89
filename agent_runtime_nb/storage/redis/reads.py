"""What is read, on the reader's thread: queries of a group go in one round trip."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from agent_runtime_nb.exceptions import AgentRuntimeError, StorageError, Unavailable
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    Page,
    StoredId,
)
from agent_runtime_nb.storage.redis.keys import (
    ALL,
    OPEN,
    ActorKeys,
    Keys,
    actor_of,
    mark_index,
)
from agent_runtime_nb.storage.redis.link import Lost, RedisClient
from agent_runtime_nb.storage.redis.scripts import (
    DROP,
    FIND_TURN,
    LOOK,
    READ_STATE,
    READ_TURNS,
    SEAL,
    Command,
    record_of,
    values_of,
)
from agent_runtime_nb.storage_abstractions import (
    ActorList,
    ActorState,
    TurnRecord,
)


class Query(NamedTuple):
    """One command, and what is made of its answer."""

    command: Command
    decode: Callable[[Any], object]


Procedure = Callable[[RedisClient], object]
"""What needs several round trips; run after the queries of its group."""


def run_reads(
    jobs: list[Query | Procedure], link: RedisClient, where: str
) -> list[object]:
    """An outcome for each job, in order; exceptions for those that failed."""
    outcomes: dict[int, object] = {}
    queries = [n for n, job in enumerate(jobs) if isinstance(job, Query)]
    try:
        answers = link.run([jobs[n].command for n in queries])  # pyright: ignore[reportFunctionMemberAccess] - they are queries
    except StorageError as error:
        answers = [error] * len(queries)
    for n, answer in zip(queries, answers, strict=True):
        outcomes[n] = _outcome(jobs[n], answer, where)
    for n, job in enumerate(jobs):
        if not isinstance(job, Query):
            try:
                outcomes[n] = job(link)
            except AgentRuntimeError as error:
                outcomes[n] = error
    return [outcomes[n] for n in range(len(jobs))]


def _outcome(job: Any, answer: object, where: str) -> object:
    if isinstance(answer, Lost):
        return Unavailable(where, answer)
    if isinstance(answer, StorageError):
        return answer
    return job.decode(answer)


def read_state(keys: ActorKeys, wanted: tuple[str, ...] | None, prefix: str) -> Query:
    """One actor of `IActorStateStorage.read_states`."""

    def decode(answer: Any) -> ActorState:
        etag, epoch, pairs = answer
        return ActorState(
            values_of(pairs), None if etag is None else etag.decode(), int(epoch)
        )

    if wanted is not None:
        some = [key for key in wanted if key.startswith(prefix)]
        return Query(READ_STATE.call(keys, "some", *some), decode)
    if prefix:
        start = prefix.encode()
        return Query(READ_STATE.call(keys, "range", b"[" + start, _end(start)), decode)
    return Query(READ_STATE.call(keys, "all"), decode)


def _end(prefix: bytes) -> bytes:
    """The bound above all keys with a prefix."""
    return b"(" + prefix + b"\xff"  # no UTF-8 has that byte


def find_turn(keys: ActorKeys, message_id: str) -> Query:
    """See `IActorStateStorage.find_turn`."""

    def decode(answer: Any) -> TurnRecord | None:
        return None if answer is None else record_of(answer)

    return Query(FIND_TURN.call(keys, message_id), decode)


def read_turns(keys: ActorKeys, before: int | None, limit: int) -> Query:
    """See `IActorStateStorage.read_turns`; `limit` is at least 1."""

    def decode(answer: Any) -> list[TurnRecord]:
        return [record_of(turn) for turn in reversed(answer)]

    highest = "+inf" if before is None else f"({before}"
    return Query(READ_TURNS.call(keys, highest, limit), decode)


def list_keys(keys: ActorKeys, prefix: str, after: str | None, limit: int) -> Query:
    """See `IActorStateStorage.list_keys`; `limit` is at least 1."""

    def decode(answer: Any) -> Page[str]:
        items = tuple(key.decode() for key in answer[:limit])
        return Page(items, items[-1] if len(answer) > limit else None)

    lowest = b"[" + prefix.encode()
    if after is not None and after >= prefix:
        lowest = b"(" + after.encode()
    end = _end(prefix.encode())
    return Query(
        ("ZRANGEBYLEX", keys.value_keys, lowest, end, "LIMIT", 0, limit + 1), decode
    )


# --- lists of actors


_AT_ONCE = 50  # entries that are looked at, since many may be stale


class _ActorLook(NamedTuple):
    """What an actor is; `LOOK` says it."""

    has_data: bool
    is_open: bool
    marks: frozenset[str]


@dataclass(frozen=True, slots=True)
class ListActors:
    """See `IActorStateStorage.list_actors`; call it with the reader's link."""

    keys: Keys
    where: str
    type_name: str | None
    open_only: bool
    mark: str | None
    after: str | None
    limit: int

    def __call__(self, link: RedisClient) -> Page[ActorId]:
        """The page; entries that proved stale are dropped on the way."""
        listed = ActorList(self.limit)
        start = self._start()
        while not listed.is_full:
            members = self._members(link, start, max(self.limit + 1, _AT_ONCE))
            if not members:
                break
            start = b"(" + members[-1][0]
            listed.add(self._that_belong(link, members))
        return listed.page()

    @property
    def _index(self) -> str:
        if self.mark is not None:
            return mark_index(self.mark)
        return OPEN if self.open_only else ALL

    def _start(self) -> bytes:
        type_name, _, instance_id = (self.after or "").partition("/")
        start = max((self.type_name or "", ""), (type_name, instance_id))
        return f"({start[0]}\0{start[1]}".encode()

    def _members(
        self, link: RedisClient, start: bytes, count: int
    ) -> list[tuple[bytes, Any]]:
        """The next members of the index with their tokens."""
        members_key, tokens_key = self.keys.index(self._index)
        end = b"+" if self.type_name is None else f"({self.type_name}\1".encode()
        members = link.ask("ZRANGEBYLEX", members_key, start, end, "LIMIT", 0, count)
        if not members:
            return []
        # Noted before the actors are looked at: what is entered later is not dropped.
        return list(zip(members, link.ask("HMGET", tokens_key, *members), strict=True))

    def _that_belong(
        self, link: RedisClient, members: list[tuple[bytes, Any]]
    ) -> list[StoredId]:
        actors = [actor_of(member) for member, _ in members]
        answers = link.run([LOOK.call(self.keys.actor(actor)) for actor in actors])
        wanted: list[StoredId] = []
        stale: list[tuple[StoredId, bytes, bytes]] = []
        for actor_id, entry, answer in zip(actors, members, answers, strict=True):
            look = self._look_of(answer)
            if not self._belongs(look):
                stale.append((actor_id, entry[0], entry[1] or b""))
            elif look.is_open if self.open_only else look.has_data:
                wanted.append(actor_id)
        if stale:
            self._drop(link, stale)
        return wanted

    def _look_of(self, answer: Any) -> _ActorLook:
        if isinstance(answer, Lost):
            raise Unavailable(self.where, answer)
        if isinstance(answer, StorageError):
            raise answer
        has_data, is_open, marks = answer
        marked = (marks or b"=")[1:].decode().split()
        return _ActorLook(has_data > 0, is_open > 0, frozenset(marked))

    def _belongs(self, look: _ActorLook) -> bool:
        """Whether the entry in the index is right."""
        if self.mark is not None:
            return self.mark in look.marks
        return look.is_open if self.open_only else look.has_data

    def _drop(
        self, link: RedisClient, stale: list[tuple[StoredId, bytes, bytes]]
    ) -> None:
        """Seal the actors and drop the entries; what cannot be done stays stale."""
        condition = ("mark", self.mark) if self.mark is not None else (self._index,)
        sealed = link.run(
            [SEAL.call(self.keys.actor(actor_id), *condition) for actor_id, *_ in stale]
        )
        dropped = [
            word
            for (_, *entry), done in zip(stale, sealed, strict=True)
            if done == 1
            for word in entry
        ]
        if dropped:
            link.run([DROP.call(self.keys.index(self._index), *dropped)])
