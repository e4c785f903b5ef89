"""Storages that are wrong on purpose in what a reader gets back, each in one way."""

import re
from asyncio import Future
from collections.abc import Sequence
from dataclasses import astuple, replace
from typing import Any

from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.storage_abstractions import ActorState, Claim, TurnRecord
from tests.contracts.wrapped_storage import WrappedStorage


class AliasingValues(WrappedStorage):
    """The dict that a reader gets is the one that the next reader gets."""

    async def read_states(
        self, actor_ids: Sequence[ActorId], *args: Any, **options: Any
    ) -> list[ActorState]:
        return [
            replace(one, values=self.shared.setdefault(str(one), one.values))
            for one in await super().read_states(actor_ids, *args, **options)
        ]

    def claim(self, actor_id: ActorId, *, take_over: bool = False) -> "Future[Claim]":
        future = super().claim(actor_id, take_over=take_over)
        if future.exception() is None:
            claim = future.result()
            claim.values = self.shared.setdefault(str(claim), claim.values)
        return future


class AliasingTurns(WrappedStorage):
    """A turn that was read once is the same object when it is read again."""

    async def read_turns(
        self, actor_id: ActorId, *, before: int | None = None, limit: int = 50
    ) -> list[TurnRecord]:
        turns = await super().read_turns(actor_id, before=before, limit=limit)
        return [
            self.shared.setdefault((actor_id, *astuple(turn)), turn) for turn in turns
        ]


class StaleReads(WrappedStorage):
    """A host goes on to read what it has read once."""

    def __init__(self, like: "WrappedStorage | None" = None) -> None:
        super().__init__(like)
        self._cache: dict[ActorId, ActorState] = {}

    async def read_states(
        self, actor_ids: Sequence[ActorId], *args: Any, **options: Any
    ) -> list[ActorState]:
        states = await super().read_states(actor_ids, *args, **options)
        return list(map(self._cache.setdefault, actor_ids, states))


class StatesAsFound(WrappedStorage):
    """Several states come in the order of the table, of known actors only, once each."""

    async def read_states(
        self, actor_ids: Sequence[ActorId], *args: Any, **options: Any
    ) -> list[ActorState]:
        if len(actor_ids) > 1:
            actor_ids = sorted(set(actor_ids) & self.inner._data.actors.keys())
        return await super().read_states(actor_ids, *args, **options)


class PrefixOfStatesIsAPattern(WrappedStorage):
    """The prefix of the values that are wanted is put into LIKE as it is."""

    async def read_states(
        self, actor_ids: Sequence[ActorId], keys: Any = None, *, prefix: str = ""
    ) -> list[ActorState]:
        escaped = re.escape(prefix).replace("%", ".*").replace("_", ".")
        states = await super().read_states(actor_ids, keys)
        for state in states:
            found = [key for key in state.values if re.match(escaped, key, re.DOTALL)]
            state.values = {key: state.values[key] for key in found}
        return states


class KeysOrPrefix(WrappedStorage):
    """If keys are named, it forgets the prefix."""

    async def read_states(
        self, actor_ids: Sequence[ActorId], keys: Any = None, *, prefix: str = ""
    ) -> list[ActorState]:
        options = {"prefix": prefix} if keys is None else {}
        return await super().read_states(actor_ids, keys, **options)
