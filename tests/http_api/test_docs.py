"""The docs: true to the routes, and whole without a network."""

import re
from typing import Any

import httpx2
import pytest
from playwright.sync_api import sync_playwright

from agent_runtime_nb.http_api.server import EmbeddedServer
from tests.http_api.fakes import FakeClient
from tools.chromium import NO_CHROMIUM, find_chromium


def openapi(server: EmbeddedServer) -> dict[str, Any]:
    return httpx2.get(server.url + "/openapi.json").json()


def test_the_root_leads_people_to_the_docs_and_programs_to_the_description(
    server: EmbeddedServer,
):
    person = httpx2.get(
        server.url, headers={"Accept": "text/html,*/*"}, follow_redirects=True
    )
    program = httpx2.get(server.url)

    assert str(person.url) == server.docs_url
    assert program.json()["openapi"] == "openapi.json"


def test_the_description_has_every_route_with_its_example(server: EmbeddedServer):
    conversations = "/agents/{agent_name}/conversations"
    one = f"{conversations}/{{conversation_id}}"
    request = f"{one}/requests/{{message_id}}"

    described = openapi(server)

    run = described["paths"]["/agents/{agent_name}/run"]["post"]
    body = run["requestBody"]["content"]["application/json"]
    assert set(body["examples"]) == {"text", "stream", "background", "image"}
    assert set(run["responses"]) == {"200", "202", "204", "422", "default"}
    assert "text/event-stream" in run["responses"]["200"]["content"]
    assert set(described["paths"]) == {
        "/agents",
        "/agents/{agent_name}",
        "/agents/{agent_name}/run",
        "/agents/{agent_name}/dead-letters",
        conversations,
        one,
        f"{one}/approvals",
        f"{one}/approvals/{{approval_id}}",
        f"{one}/export",
        f"{one}/fork",
        f"{one}/revive",
        request,
        f"{request}/cancel",
        f"{request}/discard",
        f"{request}/events",
        f"{request}/requeue",
        f"{request}/run-again",
        f"{request}/withdraw",
        "/health",
    }


def test_every_reference_of_the_description_is_there(server: EmbeddedServer):
    described = openapi(server)

    references = set(re.findall(r"'#/components/schemas/(\w+)'", str(described)))

    assert references <= set(described["components"]["schemas"])
    assert "ProblemBody" in references


def test_the_examples_of_the_description_work(
    server: EmbeddedServer, http: httpx2.Client
):
    run = openapi(server)["paths"]["/agents/{agent_name}/run"]["post"]
    examples = run["requestBody"]["content"]["application/json"]["examples"]

    answers = {
        name: http.post("/agents/echo/run", json=example["value"]).status_code
        for name, example in examples.items()
    }

    assert answers == dict.fromkeys(examples, 200)


def test_the_page_names_no_other_host_and_forbids_them(server: EmbeddedServer):
    page = httpx2.get(server.docs_url)

    assert "//" not in page.text.replace("// ", "")
    assert "connect-src 'self'" in page.headers["content-security-policy"]


def test_an_asset_that_is_not_of_the_page_is_not_served(server: EmbeddedServer):
    for path in ("/docs/redoc.standalone.js", "/docs/%2e%2e%2f__init__.py"):
        assert httpx2.get(server.url + path).status_code == 404


@pytest.mark.browser
def test_a_person_authorizes_and_runs_an_agent_on_the_page(
    server: EmbeddedServer, actors: FakeClient
):
    chromium = find_chromium()
    if chromium is None:
        pytest.skip(NO_CHROMIUM)
    foreign: list[str] = []

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium)
        page = browser.new_page()
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((server.url, "data:", "blob:"))
                else foreign.append(request.url)
            ),
        )
        page.goto(server.docs_url)
        page.get_by_role("button", name="Authorize").first.click()
        page.get_by_label("auth-bearer-value").fill(server.token)
        page.get_by_role("button", name="Apply credentials").click()
        page.get_by_role("button", name="Close").click()
        run = page.locator(".opblock-post").first
        run.locator(".opblock-summary-control").click()
        run.locator("tr[data-param-name=agent_name] input").fill("echo")
        run.get_by_role("button", name="Execute").click()
        answer = run.locator(".live-responses-table .highlight-code code").first
        answer.wait_for()
        shown = answer.inner_text()
        browser.close()

    assert '"content": "hi"' in shown
    assert actors.sent[0].params["messages"][0]["role"] == "user"
    assert foreign == []
