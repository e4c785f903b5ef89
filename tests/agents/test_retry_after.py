"""When a model's service says that it may be asked again."""

from typing import Any

import pytest
from agent_framework.exceptions import ChatClientException

from agent_runtime_nb.agents.actor import AgentActor
from agent_runtime_nb.agents.retry_after import retry_after_of
from tests.agents.fake_context import FakeStore, ask
from tests.agents.helpers import scripted


class Answer:
    def __init__(self, **headers: str) -> None:
        self.headers = {name.replace("_", "-"): headers[name] for name in headers}


class RateLimited(Exception):
    status_code = 429

    def __init__(self, **headers: str) -> None:
        super().__init__("too many requests")
        self.response = Answer(**headers)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "7"}, 7.0),
        ({"retry_after_ms": "1500", "retry_after": "9"}, 1.5),
        ({"retry_after": "Thu, 01 Jan 1970 00:01:40 GMT"}, 40.0),
        ({"retry_after": "Thu, 01 Jan 1970 00:00:10 GMT"}, 0.0),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "inf"}, None),
        ({"retry_after": "-3"}, None),
        ({"retry_after": "9999999"}, None),
        ({}, None),
    ],
)
def test_the_header_is_read_as_seconds(headers: Any, seconds: float | None) -> None:
    assert retry_after_of(RateLimited(**headers), now=60.0) == seconds


def test_an_error_without_an_answer_says_nothing() -> None:
    assert retry_after_of(ValueError("no response")) is None


async def test_a_rate_limited_turn_says_when_it_may_be_tried_again() -> None:
    error = ChatClientException("<class 'X'> failed")
    error.__cause__ = RateLimited(retry_after="12")

    outcome = await ask(AgentActor(scripted([error])), FakeStore(), "Hi")

    assert outcome.error == {
        "type": "RateLimited",
        "message": "too many requests",
        "retryable": True,
        "retry_after": 12.0,
    }
