"""The errors of requests: refused, denied, or worth another try.

The difference that matters is whether a write may have happened. Cosmos DB says so with
most of its answers; without an answer it may be under way for long.
"""

from collections.abc import Mapping
from typing import Any, Literal, cast

import aiohttp
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestTimeoutError,
)
from azure.cosmos.exceptions import (
    CosmosBatchOperationError,
    CosmosHttpResponseError,
)

from agent_runtime_nb.exceptions import (
    Full,
    ReadOnly,
    StorageError,
    TooLarge,
    Unavailable,
)
from agent_runtime_nb.storage.cosmos.batch import MOST_BYTES

SILENCE = "it does not answer"

_TIMED_OUT = 408
_QUOTA_REACHED, _READ_ONLY = (1014, 1028), 3  # substatus of a 403


class CosmosRefusal(Exception):
    """Cosmos DB has refused; in a batch, its operation number `index`.

    `in_doubt`: it was sent before, and whether that took effect is not known.
    """

    in_doubt = False

    def __init__(self, status: int, index: int = 0) -> None:
        super().__init__(f"{status} at {index}")
        self.status = status
        self.index = index


class Unanswered(Exception):
    """The deadline has passed, and a batch may or may not have taken effect.

    `over`: every sending was answered, so what has not happened will not; `reason`:
    what the last one came to.
    """

    def __init__(self, *, over: bool, reason: object) -> None:
        super().__init__(reason)
        self.over = over
        self.reason = reason


Fate = Literal["not done", "perhaps done", "perhaps still under way"]


class RequestFailed(Exception):
    """Worth another try: after `retry_after` seconds, if that is given."""

    def __init__(
        self, reason: str, fate: Fate, *, retry_after: float | None = None
    ) -> None:
        super().__init__(reason)
        self.said = reason != SILENCE
        self.fate: Fate = fate
        self.retry_after = retry_after


def classified(error: AzureError, where: str) -> Exception:
    """The error for one of the client: CosmosRefusal, RequestFailed or a StorageError."""
    if isinstance(error, CosmosHttpResponseError | CosmosBatchOperationError):
        return _classified_answer(error, where)
    if isinstance(error, ClientAuthenticationError):
        reason = f"the Azure credential was refused: {_first_line(error)}"
        return Unavailable(where, reason)
    if _was_not_sent(error):
        return RequestFailed(_first_line(error), "not done")
    return RequestFailed(_first_line(error), "perhaps still under way")


def _classified_answer(error: HttpResponseError, where: str) -> Exception:
    status = error.status_code or 0
    if status in (404, 409, 412):
        return CosmosRefusal(status, getattr(error, "error_index", None) or 0)
    if status in (400, 401, 403, 413):
        return _denied(status, error, where)
    if status in (429, 449):
        reason = "it has more requests than it was given throughput for"
        return RequestFailed(reason, "not done", retry_after=_retry_after(error))
    waits = status == _TIMED_OUT
    return RequestFailed(
        f"it answers {status}",
        "perhaps still under way" if waits else "perhaps done",
        retry_after=_retry_after(error),
    )


def _denied(status: int, error: HttpResponseError, where: str) -> StorageError:
    """What is not worth another try."""
    substatus = getattr(error, "sub_status", None)
    if status == 413:
        return TooLarge("the change", MOST_BYTES, MOST_BYTES)
    if status == 403 and substatus in _QUOTA_REACHED:
        return Full(where)
    if status == 403 and substatus == _READ_ONLY:
        return ReadOnly(where)
    if status == 401:
        return Unavailable(where, "the key or credential was refused (401)")
    return Unavailable(where, f"it answers {status}: {_first_line(error)}")


def _was_not_sent(error: AzureError) -> bool:
    # azure-core calls every end of a connection a failed request, one that came after
    # the request too; only aiohttp's own error tells them apart.
    connecting = isinstance(error.inner_exception, aiohttp.ClientConnectorError)
    return connecting or isinstance(error, ServiceRequestTimeoutError)


def _retry_after(error: HttpResponseError) -> float | None:
    response = cast("Any", error.response)
    headers: Mapping[str, str] = getattr(response, "headers", None) or {}
    found = headers.get("x-ms-retry-after-ms")
    try:
        return None if found is None else float(found) / 1000
    except ValueError:
        return None


def _first_line(error: BaseException) -> str:
    """What an error says, shortly: Azure adds activity ids and whole responses."""
    text = str(getattr(error, "message", None) or error).strip()
    return text.partition("\n")[0][:300] or type(error).__name__
