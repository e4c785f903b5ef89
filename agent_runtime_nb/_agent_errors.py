"""Errors of agents and model services, in a sentence that a person can act on."""

import os
import re
from typing import Any

from agent_framework.exceptions import (
    AgentFrameworkException,
    SettingNotFoundError,
)

from agent_runtime_nb.exceptions import AgentRuntimeError

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


def describe_agent_error(error: BaseException) -> dict[str, Any]:
    """An error as `{"type", "message", "retryable"}`; no traceback, no key.

    The framework wraps what a service answered: the cause is described, not the wrapper.
    """
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
    message = _SECRETS.sub(lambda found: f"{found['is'] or ''}[hidden]", message)
    if len(message) > _LONGEST:
        message = message[:_LONGEST] + "..."
    return {"type": type(error).__name__, "message": message, "retryable": retryable}


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
