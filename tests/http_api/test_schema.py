"""Every operation of the description, with what schemathesis thinks of."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import checks as common
from schemathesis.specs.openapi import checks

from agent_runtime_nb.http_api.app import create_app
from tests.effort import amount
from tests.http_api.fakes import FakeClient, FakeDirectory
from tests.http_api.served import ServedRuntime, says

_CHECKS: Any = checks  # its types are known in part only
_COMMON: Any = common
KEY = {"message_id": "k1"}
CHECKS: list[Any] = [
    _COMMON.not_a_server_error,
    _CHECKS.content_type_conformance,
    _CHECKS.response_headers_conformance,
    _CHECKS.response_schema_conformance,
    _CHECKS.status_code_conformance,
]

_DESCRIPTION: Any = schemathesis.openapi.from_dict(
    create_app(FakeClient(), FakeDirectory()).openapi()
)
OPERATIONS: dict[str, Any] = {
    found.ok().label: found.ok() for found in _DESCRIPTION.get_all_operations()
}


@pytest.fixture(scope="module")
def served() -> Iterator[ServedRuntime]:
    """A runtime that may be torn apart."""
    runtime = ServedRuntime()
    runtime.open_gate()
    yield runtime
    runtime.close()


@pytest.mark.scales
@pytest.mark.timeout(amount(60, quick=60, long=300))
@pytest.mark.parametrize("agent", ["echo", "scripted", None])
@pytest.mark.parametrize("label", OPERATIONS)
def test_no_request_gets_a_server_error_or_an_answer_that_is_not_described(
    served: ServedRuntime, label: str, agent: str | None
):
    operation = OPERATIONS[label]
    statuses: list[int] = []
    if agent is not None:  # something must be there to be read, forked, deleted
        body = {**says("delete notes.txt"), "conversation_id": "c1"}
        key = {"Idempotency-Key": "k1"}
        served.http.post(f"/agents/{agent}/run", json=body, headers=key)
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {served.server.token}"

        @settings(
            max_examples=amount(20, quick=5, long=200),
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        )
        @given(operation.as_strategy())
        def check(case: Any) -> None:
            if agent is not None:
                there = {"agent_name": agent, "conversation_id": "c1"} | KEY
                case.path_parameters |= {
                    name: there[name] for name in case.path_parameters if name in there
                }
            response = case.call(base_url=served.server.url, session=session)
            statuses.append(response.status_code)
            case.validate_response(response, checks=CHECKS)

        check()

    assert statuses
    assert 401 not in statuses
