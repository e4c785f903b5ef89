"""The bounds of a runtime, and where it takes time and names from."""

import asyncio
import itertools
import random
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeSettings:
    """The bounds of a runtime; times in seconds, sizes in bytes.

    Attributes:
        turn_timeout: how long a turn may run.
        waiting_timeout: how long an accepted request may wait for its turn.
        cancel_grace: how long a cancelled turn may take to complete partially.
        mailbox_limit: requests that may wait for one actor, also for its claim.
        waiting_limit, waiting_bytes: requests that may wait for all actors together,
            also for their claims, and what they may weigh.
        idle_timeout: how long an idle actor stays in memory.
        max_resident: actors in memory, as far as they are idle.
        keep_results: ended turns per actor whose result is kept.
        turn_limit: turns that a conversation may have; None: any number.
        conversation_ttl: conversations whose last turn ended longer ago are deleted;
            looked at once an hour, at most 1,000 at a time. None: none is.
        request_limit: size of a request.
        update_limit, update_bytes: what the update log of one turn keeps.
        update_memory: what the update logs of ended turns keep, all together.
        update_linger: how long the log of an ended turn is kept.
        dispose_timeout: how long `dispose` of an actor may take.
        storage_timeout: how long a write may go unanswered before its fate counts as
            unknown.
        commit_retries: the pauses before a commit is sent again that the storage could
            not take.
    """

    turn_timeout: float = 600.0
    waiting_timeout: float = 3600.0
    cancel_grace: float = 2.0
    mailbox_limit: int = 100
    waiting_limit: int = 10_000
    waiting_bytes: int = 64_000_000
    idle_timeout: float = 300.0
    max_resident: int = 1000
    keep_results: int = 1000
    turn_limit: int | None = None
    conversation_ttl: float | None = None
    request_limit: int = 8_000_000
    update_limit: int = 1000
    update_bytes: int = 1_000_000
    update_memory: int = 16_000_000
    update_linger: float = 60.0
    dispose_timeout: float = 5.0
    storage_timeout: float = 30.0
    commit_retries: tuple[float, ...] = (0.1, 0.5, 2.0)


def _id_maker() -> Callable[[], str]:
    # A host's random part and a counter: 20 times cheaper than a uuid4 each time, and
    # one step of iterators in C, so that threads get no number twice.
    prefix = f"{uuid.uuid4().hex}-"
    return map(prefix.__add__, map(str, itertools.count(1))).__next__


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Where the runtime takes time and ids from; tests and simulations give others.

    `clock` is monotonic seconds, `wall_clock` POSIX seconds, `sleep` waits on `clock`,
    `new_id` makes a text never used before by any host, `random` a number from 0 to 1.
    """

    clock: Callable[[], float] = time.monotonic
    wall_clock: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    new_id: Callable[[], str] = field(default_factory=_id_maker)
    random: Callable[[], float] = random.random
