"""What happens to an actor that fails: a fresh start after a pause, or quarantine.

Pure functions of failures and a clock; who carries them out is the actor in memory.
Only errors that an actor lets through count, and factories that raise. An agent that
ends a turn as FAILED has dealt with its error and counts as healthy.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from agent_runtime_nb.exceptions import InvalidRequest

OnInterrupted: TypeAlias = Literal["ask", "rerun", "fail"]
"""What becomes of the requests that a dead host left behind.

"ask": they become INTERRUPTED, nothing runs by itself, a person chooses; "rerun": they
run again, in their old order, until they were begun too often; "fail": they become
FAILED.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    """How often an actor may fail; times in seconds.

    Attributes:
        max_restarts: failures within `within` after which it still starts again.
        within: how long a failure counts. An actor without one for so long is healthy.
        backoff: the pause before the first fresh start; doubled before each further.
        longest: the longest pause.
        jitter: the part of a pause by which it is made longer or shorter at random, so
            that actors which failed together do not start together.
        max_attempts: how often a request is begun at most; one that its hosts died on
            so often is a dead letter.
    """

    max_restarts: int = 3
    within: float = 60.0
    backoff: float = 0.2
    longest: float = 10.0
    jitter: float = 0.2
    max_attempts: int = 3

    def __post_init__(self) -> None:
        """Refuse what makes no sense, by the field's name."""
        for name in ("max_restarts", "within", "backoff", "longest"):
            if getattr(self, name) < 0:
                raise InvalidRequest(name, "must not be negative")
        if not 0 <= self.jitter < 1:
            raise InvalidRequest("jitter", "must be at least 0 and less than 1")
        if self.max_attempts < 1:
            raise InvalidRequest("max_attempts", "must be at least 1")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a failure leads to.

    Attributes:
        failures: when the failures were that still count, this one included.
        pause: seconds before a fresh start; None: quarantine.
    """

    failures: tuple[float, ...]
    pause: float | None


def judge(
    policy: RestartPolicy, failures: tuple[float, ...], now: float, chance: float
) -> Verdict:
    """Decide what one more failure leads to.

    Args:
        policy: the bounds.
        failures: when the earlier ones were, oldest first, on the clock of `now`.
        now: the time of this one.
        chance: a number from 0 to 1, drawn anew each time.
    """
    counted = (*(one for one in failures if now - one < policy.within), now)
    if len(counted) > policy.max_restarts:
        return Verdict(counted, None)
    pause = min(policy.backoff * 2 ** (len(counted) - 1), policy.longest)
    return Verdict(counted, pause * (1 + policy.jitter * (2 * chance - 1)))


def is_dead_letter(policy: RestartPolicy, attempts: int) -> bool:
    """Whether a request that was left behind has been begun too often to run again."""
    return attempts >= policy.max_attempts
