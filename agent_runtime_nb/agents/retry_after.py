"""When a model's service says that it may be asked again."""

import math
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

_LONGEST = 24 * 3600.0
_DEEPEST = 10


def retry_after_of(error: BaseException, now: float | None = None) -> float | None:
    """Seconds to wait, from the headers of the answer that an error came of.

    Args:
        error: is followed to its causes; clients wrap what a service answered.
        now: POSIX seconds, for a header that is a date.
    """
    for one in _causes(error):
        headers = getattr(getattr(one, "response", None), "headers", None)
        seconds = None
        if hasattr(headers, "get"):
            seconds = _of_headers(headers, time.time() if now is None else now)
        if seconds is None:
            seconds = _number(getattr(one, "retry_after", None))
        if seconds is not None and 0 <= seconds <= _LONGEST:
            return seconds
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(_DEEPEST):
        if error is None:
            return
        yield error
        error = error.__cause__


def _of_headers(headers: Any, now: float) -> float | None:
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    said = headers.get("retry-after")
    seconds = _number(said)
    if seconds is not None or not isinstance(said, str):
        return seconds
    try:
        return max(0.0, parsedate_to_datetime(said).timestamp() - now)
    except ValueError:
        return None


def _number(value: object) -> float | None:
    if not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
