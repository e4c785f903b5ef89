"""The health of a runtime, judged by its storage, its loop and its actors.

Failures of the storage are noted where they come up, so nothing is paid for this while
all is well. From the first one on the storage is asked once a second; what a read cannot
show (no space left, say) counts for a minute after its last failure.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable

from agent_runtime_nb.exceptions import (
    AgentRuntimeError,
    Corrupt,
    Full,
    OutcomeUnknown,
    ReadOnly,
    StorageLost,
    Unavailable,
    reason_of,
)

LONGEST_LAG = 2.0
"""Seconds by which the loop may be late."""

_COUNTS_FOR = 60.0
_NAMED = 3  # actors in quarantine, stored ids that are none
_LONGEST_NAME = 80
_OUT_OF_REACH = (Unavailable, OutcomeUnknown)
_OUT_OF_ORDER = (Full, ReadOnly, Corrupt, StorageLost)


class StorageHealth:
    """The last failure of the storage, as long as it counts.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._error: BaseException | None = None
        self._at = 0.0
        self._number = 0
        self._looking = False

    def __bool__(self) -> bool:
        return self._error is not None

    def __str__(self) -> str:
        return "" if self._error is None else reason_of(self._error)

    def note(self, error: BaseException) -> None:
        """The storage has failed so; errors that say nothing about it are passed over."""
        if isinstance(error, _OUT_OF_REACH + _OUT_OF_ORDER):
            self._error, self._at = error, self._clock()
            self._number += 1

    @property
    def needs_check(self) -> bool:
        """Whether the storage is to be asked if it works again."""
        return self._error is not None and not self._looking

    async def look(self, read: Callable[[], Awaitable[object]]) -> None:
        """Forget the failure if the storage answers, and it has not failed meanwhile."""
        self._looking, number = True, self._number
        try:
            await read()
        except AgentRuntimeError as error:
            self.note(error)
        finally:
            self._looking = False
        old = self._clock() - self._at >= _COUNTS_FOR
        if number == self._number and (old or isinstance(self._error, _OUT_OF_REACH)):
            self._error = None


def problems(
    storage: StorageHealth,
    lag: float,
    quarantined: Collection[object],
    unread: Collection[object] = (),
) -> str:
    """What is wrong, for people; "" if nothing is.

    Args:
        storage: what is noted of it.
        lag: seconds by which the loop was late.
        quarantined: the actors that take no requests.
        unread: the stored ids that are none.
    """
    found: list[str] = []
    if storage:
        found.append(f"the storage fails: {storage}")
    if lag > LONGEST_LAG:
        late = f"the event loop was late by {lag:.1f} s"
        found.append(f"{late}; something on it does not let others run")
    if quarantined:
        found.append(f"in quarantine until revived: {_some(map(str, quarantined))}")
    if unread:
        found.append(unreadable(unread))
    return "; ".join(found)


def unreadable(stored: Collection[object]) -> str:
    """What is to be done about stored ids that are none."""
    return (
        f"stored under what is no id, and passed over: {_some(map(_shown, stored))}; "
        "delete it: agent-runtime-nb storage check --delete-unreadable"
    )


def _some(names: Iterable[str]) -> str:
    """The first names, and how many more there are."""
    all_of_them = list(names)
    rest = len(all_of_them) - _NAMED
    more = [f"{rest} more"] if rest > 0 else []
    return ", ".join(all_of_them[:_NAMED] + more)


def _shown(stored: object) -> str:
    """In ASCII and short: it may be anything."""
    shown = ascii(str(stored))
    return shown if len(shown) <= _LONGEST_NAME else f"{shown[:_LONGEST_NAME]}..."
