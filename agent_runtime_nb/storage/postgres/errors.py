"""What PostgreSQL, asyncpg and the network raise, and what it means here."""

from collections.abc import Callable

from agent_runtime_nb.exceptions import (
    AgentRuntimeError,
    Conflict,
    Corrupt,
    Full,
    ReadOnly,
    StorageError,
    TooLarge,
    Unavailable,
    reason_of,
)
from agent_runtime_nb.storage.postgres.driver import (
    InterfaceError,
    PostgresError,
)
from agent_runtime_nb.storage.postgres.target import Target

MAX_VALUE = 8 * 1024 * 1024
"""The most bytes of one value."""

_TOO_MANY = "53300"
_REFUSALS = ("28", "3D", "3F", "42501")
_LOST = ("08", "57P01", "57P02", "57P03", "57P05", "25P03")
_AGAIN = ("40001", "40P01")


class CommitUnknown(Exception):
    """The connection was lost after the commit was sent; the cause is chained."""


def state_of(error: BaseException) -> str:
    """The five characters by which the server names an error; "" if it is not its."""
    if not isinstance(error, PostgresError):
        return ""
    return str(getattr(error, "sqlstate", None) or "")


def is_lost(error: BaseException) -> bool:
    """Whether the connection had ended (not: whether it is silent)."""
    if isinstance(error, TimeoutError):
        return False
    if isinstance(error, InterfaceError):
        return not isinstance(error, ValueError)  # DataError is one
    return isinstance(error, OSError | EOFError) or state_of(error).startswith(_LOST)


def may_pass_at_once(error: BaseException) -> bool:
    """Whether the same transaction may succeed if it is run again now."""
    return state_of(error) in _AGAIN


def is_of_one_step(error: BaseException) -> bool:
    """Whether the error may be one step's own, so that others could go through."""
    if isinstance(error, TimeoutError) or is_lost(error):
        return False
    return not isinstance(error, CommitUnknown) and not state_of(error).startswith(
        ("25006", "55P03", "57014", *_AGAIN, *_REFUSALS)
    )


def _full(target: Target, _: str) -> StorageError:
    return Full(target.location)


def _read_only(target: Target, _: str) -> StorageError:
    return ReadOnly(target.location)


def _corrupt(target: Target, reason: str) -> StorageError:
    return Corrupt(target.location, reason)


def _too_large(target: Target, _: str) -> StorageError:
    return TooLarge(f"a value for {target.location}", MAX_VALUE + 1, MAX_VALUE)


def _conflict(target: Target, reason: str) -> StorageError:
    return Conflict(target.location, "an unused position", reason)


def _refused(target: Target, reason: str) -> StorageError:
    error = Unavailable(target.location, f"the server refuses it: {reason}")
    error.retryable = False  # somebody has to change the URL or the server first
    return error


def _unavailable(target: Target, reason: str) -> StorageError:
    return Unavailable(target.location, reason)


_BY_STATE: dict[str, Callable[[Target, str], StorageError]] = {
    "53100": _full,  # disk full
    "25006": _read_only,  # a read-only transaction, also a hot standby
    "XX001": _corrupt,
    "XX002": _corrupt,
    "54000": _too_large,
    "23505": _conflict,
    "22": _refused,  # a value that it cannot keep
    **dict.fromkeys(_REFUSALS, _refused),
}


def translate(error: BaseException, target: Target) -> BaseException:
    """The error of our tree for a foreign one; our own stay themselves.

    What cannot be recognised is Unavailable, except for mistakes of the program.
    """
    if isinstance(error, AgentRuntimeError) or not isinstance(error, Exception):
        return error
    foreign = PostgresError | InterfaceError | OSError | EOFError
    if not isinstance(error, foreign):
        return error
    text = reason_of(error)
    if isinstance(error, TimeoutError):
        text = "it did not answer in time"
    elif state_of(error) == _TOO_MANY:
        text = f"it has no connection left ({text})"
    reason = target.without_secrets(text)
    state = state_of(error)
    make = _BY_STATE.get(state) or _BY_STATE.get(state[:2]) or _unavailable
    translated = make(target, reason)
    if reason == text:
        translated.__cause__ = error
    else:  # what says a secret is not shown
        translated.__suppress_context__ = True
    return translated
