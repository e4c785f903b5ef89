"""Every operation of the description, with what schemathesis thinks of."""

from collections.abc import Iterator

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from agent_runtime_nb.http_api.app import create_app
from tests.http_api.fakes import FakeClient, FakeDirectory
from tests.http_api.place import Place, says

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

DESCRIPTION = schemathesis.openapi.from_dict(
    create_app(FakeClient(), FakeDirectory()).openapi()
)
OPERATIONS = {
    found.ok().label: found.ok() for found in DESCRIPTION.get_all_operations()
}


@pytest.fixture(scope="module")
def served() -> Iterator[Place]:
    """A runtime with a conversation that can be read, and torn apart."""
    place = Place()
    place.open_gate()
    body = {**says("delete notes.txt"), "conversation_id": "c1"}
    place.http.post("/agents/scripted/run", json=body)
    yield place
    place.close()


@pytest.mark.parametrize("agent", ["echo", "scripted", None])
@pytest.mark.parametrize("label", OPERATIONS)
def test_no_request_gets_a_server_error_or_an_answer_that_is_not_described(
    served: Place, label: str, agent: str | None
):
    operation = OPERATIONS[label]
    statuses: list[int] = []
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {served.server.token}"

        @settings(
            max_examples=12,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(operation.as_strategy())
        def check(case: schemathesis.Case) -> None:
            if agent is not None and "agent_name" in case.path_parameters:
                case.path_parameters["agent_name"] = agent
            response = case.call(base_url=served.server.url, session=session)
            statuses.append(response.status_code)
            case.validate_response(response, checks=CHECKS)

        check()

    assert statuses
    assert 401 not in statuses
