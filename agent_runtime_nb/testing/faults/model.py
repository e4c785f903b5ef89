"""`FaultyModel`: a chat client of the framework whose service is having a bad day.

For example:

    model = FaultyModel([rate_limited(2.0)], cut_off("Well, h"), ["Well, hello"])
    agent = Agent(client=model)

Each script answers one call, in order; the last one answers all further calls. Scripts
are those of `agent_runtime_nb.agents.samples`: texts, contents, paces, exceptions. With
`RandomModelFaults` the faults are drawn from a seed instead.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from random import Random

from agent_framework import Message
from agent_framework.exceptions import ChatClientException

from agent_runtime_nb.agents.scripted_model import (
    CUT,
    Pace,
    Script,
    ScriptedChatClient,
    Sleep,
    Step,
    new_message_id,
)

_A_YEAR = 31_536_000.0


class ServiceError(Exception):
    """What a model's service answered, as SDKs raise it: with a `status_code`.

    `retry_after` is what the service said about when to come again, in seconds.
    """

    def __init__(
        self, status_code: int, message: str, retry_after: float | None = None
    ) -> None:
        self.status_code = status_code
        self.retry_after = retry_after
        super().__init__(f"Error code: {status_code} - {message}")


def failed(status_code: int, message: str = "the service failed") -> Exception:
    """A step: the service answers with an HTTP error, wrapped as the framework does."""
    return _wrapped(ServiceError(status_code, message))


def rate_limited(retry_after: float | None = None) -> Exception:
    """A step: 429; come again after some seconds."""
    return _wrapped(ServiceError(429, "rate limit reached", retry_after))


def cut_off(*steps: Step) -> list[Step]:
    """A script: the line breaks after these steps, without a word why."""
    return [*steps, CUT]


def silent(*steps: Step) -> list[Step]:
    """A script: after these steps nothing comes any more, and nothing ends."""
    return [*steps, Pace(_A_YEAR), "too late"]


def slow(seconds: float, *steps: Step) -> list[Step]:
    """A script: each piece of the steps comes after so many seconds."""
    return [Pace(seconds), *steps]


def _wrapped(cause: Exception) -> Exception:
    error = ChatClientException(f"the service failed to complete the prompt: {cause}")
    error.__cause__ = cause
    return error


class FaultyModel(ScriptedChatClient):
    """A chat client that answers call by call as its scripts say.

    Args:
        scripts: one for each call, the last one for all that follow.
        delay: seconds before each piece.
        sleep: how it waits.
        new_id: makes the ids of its messages.

    Raises:
        ValueError: if there is no script.
    """

    def __init__(
        self,
        *scripts: Script,
        delay: float = 0.0,
        sleep: Sleep = asyncio.sleep,
        new_id: Callable[[], str] = new_message_id,
    ) -> None:
        if not scripts:
            raise ValueError("a model needs at least one script")
        self._scripts = list(scripts)
        super().__init__(self._next, delay=delay, sleep=sleep, new_id=new_id)

    def _next(self, messages: Sequence[Message]) -> Iterable[Step]:
        more = len(self._scripts) > 1
        script = self._scripts.pop(0) if more else self._scripts[0]
        return script(messages) if callable(script) else script


class RandomModelFaults:
    """A script that plays another one and draws faults from a seed.

    Args:
        script: what the model answers when nothing is wrong.
        random: where the faults come from.
        rate: how many of the calls have one, 0 to 1.
        slowest: seconds between two pieces when the service is slow.
    """

    def __init__(
        self, script: Script, random: Random, *, rate: float, slowest: float = 1.0
    ) -> None:
        self._script = script
        self._random = random
        self._rate = rate
        self._slowest = slowest

    def __call__(self, messages: Sequence[Message]) -> Iterable[Step]:
        """The steps of one call."""
        script = self._script
        steps = list(script(messages) if callable(script) else script)
        if self._random.random() >= self._rate:
            return steps
        place = self._random.randint(0, len(steps))
        before = steps[:place]
        kind = self._random.choice(
            ["slow", "limited", "failed", "reset", "cut", "half"]
        )
        if kind == "slow":
            return slow(self._random.random() * self._slowest, *steps)
        if kind == "limited":
            return [rate_limited(self._random.choice([None, 1.0, 20.0]))]
        if kind == "failed":
            return [failed(self._random.choice([500, 502, 503, 529]))]
        if kind == "reset":
            return [*before, ConnectionResetError("connection reset by peer")]
        return cut_off(*before)
