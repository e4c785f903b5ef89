"""What can happen to a step of a storage, and plans of it, for `FaultyStorage`."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Literal, TypeAlias

from agent_runtime_nb.exceptions import Conflict, OutcomeUnknown, Unavailable
from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.storage_abstractions import ActorChange

Verb: TypeAlias = Literal["claim", "apply", "write_state", "delete_state", "read"]
"""The verbs that write each by its name, all others are "read"."""


@dataclass(frozen=True, slots=True)
class FaultStep:
    """One call of a storage; `change` is that of an apply, `actor_id` None for several."""

    verb: Verb
    actor_id: ActorId | None = None
    change: ActorChange | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens to one step; the default is nothing unusual.

    Attributes:
        delay: seconds until it takes effect.
        error: what the caller gets instead of the answer.
        takes_effect: whether it does, although there is an error or no answer.
        answer_delay: seconds from the effect to the answer.
        silent: there is never an answer.
        raised: the error comes from the call itself and not from its future.
    """

    delay: float = 0.0
    error: Exception | None = None
    takes_effect: bool = True
    answer_delay: float = 0.0
    silent: bool = False
    raised: bool = False


def slow(before: float, after: float = 0.0) -> Fault:
    """It takes effect `before` seconds late, and answers `after` seconds later."""
    return Fault(delay=before, answer_delay=after)


def fails(error: Exception, *, raised: bool = False) -> Fault:
    """It fails before it has changed anything."""
    return Fault(error=error, takes_effect=False, raised=raised)


def loses_answer(error: Exception) -> Fault:
    """It takes effect, but the caller gets an error."""
    return Fault(error=error)


def never_answers(*, takes_effect: bool = True) -> Fault:
    """The caller hears nothing, ever."""
    return Fault(takes_effect=takes_effect, silent=True)


Plan: TypeAlias = Callable[[FaultStep], Fault | None]
"""Says what happens to a step, None: it just works."""


class RandomFaults:
    """A plan that draws faults from a seed.

    Args:
        random: where from.
        rate: how many of the steps that write have a fault, 0 to 1; reads have half.
        slowest: seconds of the longest delay.
        silence: how many of the faults are that there is no answer at all.
        where: the place that errors name.

    `rate` and `silence` may be changed at any time.
    """

    def __init__(
        self,
        random: Random,
        *,
        rate: float,
        slowest: float = 1.0,
        silence: float = 0.0,
        where: str = "faulty storage",
    ) -> None:
        self.rate = rate
        self._random = random
        self._slowest = slowest
        self.silence = silence
        self._where = where

    def __call__(self, step: FaultStep) -> Fault | None:
        """A fault for a step, or none."""
        random = self._random
        rate = self.rate / 2 if step.verb == "read" else self.rate
        if random.random() >= rate:
            return None
        if random.random() < self.silence:
            return never_answers(takes_effect=random.random() < 0.5)
        kind = random.choice(["slow", "slow", "slow", "fails", "lost", "conflict"])
        if kind == "slow" or (kind == "lost" and step.verb == "read"):
            return slow(self._some(), self._some())
        if kind == "conflict" and step.change and step.change.new_etag is not None:
            return fails(Conflict(step.actor_id, "the etag", "another one"))
        if kind == "lost":
            return Fault(error=self._no_answer(step), answer_delay=self._some())
        return Fault(
            error=Unavailable(self._where, "down"),
            takes_effect=False,
            delay=self._some(),
        )

    def _some(self) -> float:
        return self._random.choice([0.0, 0.001, 0.1, 1.0]) * self._slowest

    def _no_answer(self, step: FaultStep) -> Exception:
        if step.change is not None and step.change.accepted:
            message_id = step.change.accepted[0].message_id
            return OutcomeUnknown(step.actor_id, message_id)
        return Unavailable(self._where, "the connection was cut")
