"""Errors of agents and model services, in a sentence that a person can act on."""

import logging
import os
import re
import sys
import sysconfig
import traceback
from pathlib import Path
from typing import Any, cast

from agent_framework.exceptions import (
    AgentFrameworkException,
    SettingNotFoundError,
)

from agent_runtime_nb.agents.retry_after import retry_after_of
from agent_runtime_nb.exceptions import AgentRuntimeError, TurnFailed
from agent_runtime_nb.runtime_abstractions import ActorId, ActorResponseMessage

_log = logging.getLogger(__name__)

_KEY_VARIABLES = "set OPENAI_API_KEY, or AZURE_OPENAI_ENDPOINT and AZURE_OPENAI_API_KEY"
_LONGEST = 2000
# What services echo of a key in their errors, and what a header would show.
_SECRETS = re.compile(
    r"\b(sk|rk|pk|sess)-[\w*.-]{6,}|(?<=Bearer )\S+|(?<=API key provided: )\S+"
    r"|(?<=://)[^\s/@]+(?=@)"
    r"|(?<=api[-_]key)(?P<is>[\"']?\s*[=:]\s*[\"']?)[^\s&,;\"']+",
    re.IGNORECASE,
)
_RETRYABLE_STATUS = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_RETRYABLE_NAMES = frozenset({"APIConnectionError", "APITimeoutError"})
_NOT_THE_USERS = (
    "<frozen ",
    str(Path(__file__).parents[1]) + os.sep,
    sysconfig.get_path("stdlib") + os.sep,
    sysconfig.get_path("platstdlib") + os.sep,
)


def report_failure(
    actor_id: ActorId, error: BaseException, *, in_function: bool
) -> dict[str, Any]:
    """Log why a turn failed, and describe it for its record.

    What a function of the user raised is an error in the log, and its description has
    "where" (see `place_of`); what agents and services raise is information only.
    """
    where = place_of(error) if in_function else None
    level = logging.INFO if where is None else logging.ERROR
    if _log.isEnabledFor(level):
        trace = _without_secrets("".join(traceback.format_exception(error)))
        _log.log(level, "a turn of %s failed\n%s", actor_id, trace)
    described = describe_agent_error(error)
    return described if where is None else {**described, "where": where}


def place_of(error: BaseException) -> str | None:
    """The last line of the user's that an error came by, as `f, line 2 of agents.py`.

    A notebook's cell is called as it is in its tracebacks, `Cell In[3]`. None if it
    came by library code alone.
    """
    for one in (error, error.__cause__):
        frames = traceback.walk_tb(one.__traceback__ if one else None)
        for frame, line in reversed(list(frames)):
            file = frame.f_code.co_filename
            if not file.startswith(_NOT_THE_USERS) and "site-packages" not in file:
                return f"{frame.f_code.co_name}, line {line} of {_readable(file)}"
    return None


def _readable(file: str) -> str:
    # Whoever runs in a cell has IPython loaded; nobody else needs it.
    ipython = sys.modules.get("IPython")
    shell: Any = ipython.get_ipython() if ipython else None
    named = getattr(getattr(shell, "compile", None), "format_code_name", None)
    words = named(file) if named else None
    return " ".join(words) if words else Path(file).name


def describe_agent_error(error: BaseException) -> dict[str, Any]:
    """An error as `{"type", "message", "retryable"}`; no traceback, no key.

    The framework wraps what a service answered: the cause is described, not the wrapper.
    "retry_after" is there if the service said when it may be asked again, in seconds.
    """
    described = _describe(error)
    seconds = retry_after_of(error)
    return described if seconds is None else {**described, "retry_after": seconds}


def _describe(error: BaseException) -> dict[str, Any]:
    if isinstance(error, SettingNotFoundError):
        return _described(error, _missing_setting(str(error)), retryable=False)
    cause = error
    if isinstance(error, AgentFrameworkException) and error.__cause__ is not None:
        cause = error.__cause__
    message = str(cause) or str(error) or type(cause).__name__
    status = getattr(cause, "status_code", None)
    if status in {401, 403}:
        message = f"the model's service refused the API key ({status}): {message}"
    elif "OPENAI_API_KEY" in message and status is None:
        message = f"there is no API key: {_KEY_VARIABLES}"
    return _described(cause, message, retryable=_is_retryable(cause, status))


def _described(
    error: BaseException, message: str, *, retryable: bool
) -> dict[str, Any]:
    message = _without_secrets(message)
    if len(message) > _LONGEST:
        message = message[:_LONGEST] + "..."
    return {"type": type(error).__name__, "message": message, "retryable": retryable}


def _without_secrets(text: str) -> str:
    return _SECRETS.sub(lambda found: f"{found['is'] or ''}[hidden]", text)


def _missing_setting(message: str) -> str:
    if "Azure OpenAI" in message and "API key" in message:
        return "there is no API key: set AZURE_OPENAI_API_KEY"
    # Without a key the OpenAI clients look for Azure's settings and miss those.
    if "'base_url', 'endpoint'" in message and not os.environ.get("OPENAI_API_KEY"):
        return f"there is no API key: {_KEY_VARIABLES}"
    return message


def _is_retryable(error: BaseException, status: object) -> bool:
    if isinstance(error, AgentRuntimeError):
        return error.retryable
    return (
        isinstance(error, ConnectionError | TimeoutError)
        or status in _RETRYABLE_STATUS
        or type(error).__name__ in _RETRYABLE_NAMES
    )


def turn_failed(response: ActorResponseMessage) -> TurnFailed:
    """What to raise to somebody who wants an answer and got this response."""
    error = _mapping(_mapping(response.data).get("error"))
    where = f" (in {error['where']})" if error.get("where") else ""
    return TurnFailed(
        response.status.value,
        str(error.get("type", "")),
        str(error.get("message", "")) + where,
        retryable=bool(error.get("retryable")),
        response=response,
    )


def _mapping(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
