"""Groups of steps, in few round trips whatever their number; the writer's thread.

A group goes in waves, in which an actor has one step, or several that are sent in call
order. The server does one command after the other, so their order is theirs. Nearly
always a group is one wave, and a wave one round trip; a second one is needed when
actors are new to an index, when readers have sealed one (see `index`), or when another
host owns what is claimed.
"""

from collections.abc import Iterator
from typing import Any, cast

from agent_runtime_nb.exceptions import (
    ActorOwnedElsewhere,
    StorageError,
    Unavailable,
)
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
)
from agent_runtime_nb.storage.redis.index import Entered, enter
from agent_runtime_nb.storage.redis.keys import Keys
from agent_runtime_nb.storage.redis.link import Lost, RedisClient
from agent_runtime_nb.storage.redis.steps import ClaimStep, RedisStep

_ROUNDS = (
    8  # that a step may be refused for its generation; a reader sealed it each time
)


class RedisWriter:
    """Runs groups of steps; belongs to one thread.

    Args:
        link: a connection that nobody else uses.
        keys: the names of everything.
        where: names the storage in errors.
    """

    def __init__(self, link: RedisClient, keys: Keys, where: str) -> None:
        self._link = link
        self._keys = keys
        self._where = where
        self._entered = Entered()

    def run(self, steps: list[RedisStep]) -> list[object]:
        """An outcome for each step, in order; exceptions for those that failed."""
        return [outcome for wave in _waves(steps) for outcome in self._wave(wave)]

    def _wave(self, steps: list[RedisStep]) -> list[object]:
        outcomes: dict[RedisStep, object] = {}
        left = steps
        try:
            for _ in range(_ROUNDS):
                left = self._round(left, outcomes)
                if not left:
                    break
            else:
                raise Unavailable(self._where, "it is listed again and again")
        except StorageError as error:  # nothing of what is left was sent
            outcomes |= {step: error for step in steps if step not in outcomes}
        return [outcomes[step] for step in steps]

    def _round(
        self, steps: list[RedisStep], outcomes: dict[RedisStep, object]
    ) -> list[RedisStep]:
        """Send steps; returns those that must be sent again, in order.

        Raises:
            StorageError: nothing of the steps without an outcome has happened.
        """
        steps = self._enter(steps, outcomes)
        commands = [
            step.command(
                self._keys.actor(step.actor_id), self._entered.generation(step.actor_id)
            )
            for step in steps
        ]
        again: list[RedisStep] = []
        owned: dict[ClaimStep, tuple[str, str]] = {}
        for step, answer in zip(steps, self._link.run(commands), strict=True):
            if isinstance(answer, Lost):
                outcomes[step] = step.unknown(self._where, answer)
            elif isinstance(answer, StorageError):
                outcomes[step] = answer
            elif answer[0] == b"again":
                self._entered.learn(step.actor_id, answer[1].decode())
                again.append(step)
            elif answer[0] == b"owned":
                owner, name = answer[1].decode(), answer[2].decode()
                owned[cast("ClaimStep", step)] = owner, name
            else:
                outcomes[step] = step.result(answer[0], answer[1:])
                if isinstance(step, ClaimStep):
                    self._entered.learn(step.actor_id, step.generation)
        return again + self._of_the_dead(owned, outcomes)

    def _enter(
        self, steps: list[RedisStep], outcomes: dict[RedisStep, object]
    ) -> list[RedisStep]:
        """Enter actors in the indexes that their steps need; the steps to go on with."""
        missing = {
            step: self._entered.missing(step.actor_id, step.indexes) for step in steps
        }
        wanted: dict[str, set[ActorId]] = {}
        for step, indexes in missing.items():
            for index in indexes:
                wanted.setdefault(index, set()).add(step.actor_id)
        try:
            enter(self._link, self._keys, wanted, self._where)
        except StorageError as error:  # the others must not fail with them
            outcomes |= {step: error for step in steps if missing[step]}
            return [step for step in steps if not missing[step]]
        for index, actors in wanted.items():
            for actor_id in actors:
                self._entered.add(actor_id, index)
        return steps

    def _of_the_dead(
        self,
        owned: dict[ClaimStep, tuple[str, str]],
        outcomes: dict[RedisStep, object],
    ) -> list[RedisStep]:
        """The claims whose owner is dead; the others are refused.

        A host that only seems dead and comes back is fenced by the epoch.
        """
        answers: list[Any] = self._link.run(
            [("GET", self._keys.host(owner)) for owner, _ in owned.values()]
        )
        again: list[RedisStep] = []
        for (step, (owner, name)), answer in zip(owned.items(), answers, strict=True):
            if answer is None:
                step.dead = owner
                again.append(step)
            elif isinstance(answer, StorageError):
                outcomes[step] = answer
            elif isinstance(answer, Lost):
                outcomes[step] = Unavailable(self._where, answer)
            else:
                outcomes[step] = ActorOwnedElsewhere(step.actor_id, name)
        return again


def _waves(steps: list[RedisStep]) -> Iterator[list[RedisStep]]:
    wave: list[RedisStep] = []
    joined: dict[ActorId, bool] = {}
    for step in steps:
        if step.actor_id in joined and not (joined[step.actor_id] and step.joins):
            yield wave
            wave, joined = [], {}
        wave.append(step)
        joined[step.actor_id] = step.joins
    if wave:
        yield wave
