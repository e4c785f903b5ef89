"""One group of steps in one transaction, with few statements whatever its size.

The rows of all its actors are locked first, in the order of their numbers, so what is
read cannot change and two hosts never wait for each other in a circle. Then the plan
decides each step, in order, and the net effect is written at once. A step that needs
the server once more (a claim, which reads the actor) waits until the end of the group,
or until another step of its actor comes.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from agent_runtime_nb.exceptions import AgentRuntimeError
from agent_runtime_nb.runtime_abstractions import ActorId, Encoded
from agent_runtime_nb.storage.postgres.driver import Connection
from agent_runtime_nb.storage.postgres.plan import Actor, Deferred, Plan, TurnKey
from agent_runtime_nb.storage.postgres.statements import (
    Statements,
    decode_text,
    encode_text,
    record_of,
)
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    Claim,
    HostInfo,
    TurnRecord,
)

_GROUP_BYTES = 16 * 1024 * 1024
_MAKES_ACTOR = (Plan.claim, Plan.write_state)


class PostgresStep(NamedTuple):
    """A call that waits for its group: a method of `Plan` and its arguments."""

    verb: Callable[[Plan, ActorId, Any], object]
    actor_id: ActorId
    argument: Any = None
    size: int = 0
    """How many bytes it brings."""


def size_of(change: ActorChange) -> int:
    """How many bytes the values of a change have."""
    found: list[Encoded | None] = list((change.set or {}).values())
    for turn in change.accepted:
        found += (turn.body, turn.result, turn.entries, turn.checkpoint)
    for end in change.ended:
        found += (end.result, end.entries)
    if change.checkpoint is not None:
        found.append(change.checkpoint[1])
    return sum(len(value) for value in found if value)


def in_bounds(steps: Iterable[PostgresStep]) -> Iterator[list[PostgresStep]]:
    """The steps in groups that are not too large for one transaction."""
    group: list[PostgresStep] = []
    size = 0
    for step in steps:
        if group and size + step.size > _GROUP_BYTES:
            yield group
            group, size = [], 0
        group.append(step)
        size += step.size
    if group:
        yield group


class PostgresGroup:
    """The steps' transaction, which has begun and is committed by whoever made this."""

    def __init__(
        self, connection: Connection, statements: Statements, host: HostInfo
    ) -> None:
        self._connection = connection
        self._statements = statements
        self._plan = Plan(host.host_id, host.name)
        self._waiting: dict[ActorId, tuple[int, Deferred]] = {}
        self._outcomes: list[Any] = []

    async def run(self, steps: list[PostgresStep]) -> list[Any]:
        """An outcome for each step, an exception for each that was refused."""
        await self._lock_actors(steps)
        await self._read_turns(steps)
        for i, step in enumerate(steps):
            if step.actor_id in self._waiting:
                await self._settle()
            try:
                outcome = step.verb(self._plan, step.actor_id, step.argument)
            except AgentRuntimeError as refusal:
                outcome = refusal
            if isinstance(outcome, Deferred):
                self._waiting[step.actor_id] = (i, outcome)
            self._outcomes.append(outcome)
        await self._settle()
        return self._outcomes

    # --- what the plan needs

    async def _lock_actors(self, steps: list[PostgresStep]) -> None:
        makers = {one.actor_id for one in steps if one.verb in _MAKES_ACTOR}
        if makers:
            # Before any row is locked: see the head of this module.
            names = _columns(makers, 2)
            await self._connection.execute(self._statements.make_actors, *names)
        ids = list({step.actor_id: None for step in steps})
        self._plan.actors = {actor_id: Actor() for actor_id in ids}
        rows = await self._connection.fetch(
            self._statements.lock_actors, *_columns(ids, 2)
        )
        for i, n, epoch, owner, etag, marks, first_position, name, alive in rows:
            self._plan.actors[ids[i - 1]] = Actor(
                n, epoch, owner, etag, frozenset(marks), first_position,
                name or owner, alive,
            )  # fmt: skip

    async def _read_turns(self, steps: list[PostgresStep]) -> None:
        """Which message ids are known, which turns are open, which position is next."""
        messages: list[tuple[int, str]] = []
        keys: list[TurnKey] = []
        accepting: dict[int, Actor] = {}
        for step in steps:
            actor, change = self._plan.actors[step.actor_id], step.argument
            n = actor.n
            if n and isinstance(change, ActorChange):
                messages += [(n, turn.message_id) for turn in change.accepted]
                keys += [(n, end.position) for end in change.ended]
                keys += [(n, position) for position in change.started]
                if change.checkpoint is not None:
                    keys.append((n, change.checkpoint[0]))
                if change.accepted:
                    accepting[n] = actor
        if not messages and not keys:
            return
        encoded = [(n, encode_text(message_id)) for n, message_id in messages]
        rows = await self._connection.fetch(
            self._statements.read_turns,
            *_columns(encoded, 2),
            *_columns(keys, 2),
            list(accepting),
        )
        for kind, key, position in rows:
            if kind == 0:
                self._plan.known[messages[key - 1]] = position
            elif kind == 1:
                self._plan.open.add((key, position))
            elif position is not None:
                actor = accepting[key]
                actor.next_position = max(actor.next_position, position + 1)

    # --- what the plan has come to

    async def _settle(self) -> None:
        """Write what the steps so far have come to, and do what waits for that."""
        await self._statements.write(self._connection, **self._plan.take_rows())
        claims: list[tuple[int, Actor]] = []
        for i, (what, actor, argument) in self._waiting.values():
            if what == "claim":
                claims.append((i, actor))
            elif what == "delete":
                found = await self._connection.fetchval(
                    self._statements.delete_actor, actor.n
                )
                self._outcomes[i] = found > 0
            elif what == "trim":
                await self._connection.execute(self._statements.trim, actor.n, argument)
                self._outcomes[i] = None
            else:
                self._outcomes[i] = await self._known_turns(actor.n, argument)
        if claims:
            await self._read_claims(claims)
        self._waiting.clear()

    async def _known_turns(
        self, n: int, positions: list[int]
    ) -> tuple[TurnRecord, ...]:
        rows = await self._connection.fetch(self._statements.read_places, positions, n)
        return tuple(map(record_of, rows))

    async def _read_claims(self, claims: list[tuple[int, Actor]]) -> None:
        fetch, ns = self._connection.fetch, [actor.n for _, actor in claims]
        found = {
            actor.n: Claim(actor.epoch, actor.etag, {}, 1, [], actor.marks)
            for _, actor in claims
        }
        for n, key, value in await fetch(self._statements.claimed_values, ns):
            found[n].values[decode_text(key)] = value
        for row in await fetch(self._statements.claimed_turns, ns):
            found[row[-1]].open_turns.append(record_of(row))
        for n, position in await fetch(self._statements.next_positions, ns):
            found[n].next_position = position
        for i, actor in claims:
            self._outcomes[i] = found[actor.n]


def _columns(rows: Iterable[tuple[Any, ...]], width: int) -> list[list[Any]]:
    columns = [list(column) for column in zip(*rows, strict=True)]
    return columns or [[] for _ in range(width)]
