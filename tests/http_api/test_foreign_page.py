"""A page on another port, in a real browser: what it may do, and all it may not."""

import functools
import threading
from collections.abc import Iterator, Mapping
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

from agent_runtime_nb.http_api.server import EmbeddedServer
from agent_runtime_nb.runtime_abstractions import ActorId
from tests.http_api.fakes import FakeClient
from tools.chromium import NO_CHROMIUM, find_chromium

pytestmark = pytest.mark.browser

PAGE = """<!doctype html><title>foreign</title>
<iframe name="hole"></iframe>
<form id="plain" method="post" enctype="text/plain" target="hole"></form>
<form id="coded" method="post" target="hole"></form>
"""

# With the token too: a page that got hold of it still is a foreign page.
ATTACKS = """async ({url, token}) => {
  const run = url + "/agents/echo/run";
  const body = JSON.stringify({messages: [{role: "user", content: "x"}]});
  const json = {"Content-Type": "application/json"};
  const key = {Authorization: "Bearer " + token};
  const tries = [];
  const attempt = async (options) => {
    try { const r = await fetch(run, options); tries.push(r.type + r.status); }
    catch (error) { tries.push("failed"); }
  };
  for (const mode of ["cors", "no-cors"])
    for (const headers of [{}, json, {...json, ...key}, {"Content-Type": "text/plain"}])
      for (const credentials of ["omit", "include"])
        await attempt({method: "POST", mode, headers, body, credentials});
  navigator.sendBeacon(run, body);
  navigator.sendBeacon(run, new Blob([body], {type: "application/json"}));
  for (const id of ["plain", "coded"]) {
    const form = document.getElementById(id), input = document.createElement("input");
    form.action = run; input.name = body; form.append(input); form.submit();
    await new Promise(done => document.querySelector("iframe").onload = done);
  }
  const load = (tag, attribute) => new Promise(done => {
    const one = document.createElement(tag);
    one.onload = one.onerror = done; one[attribute] = run; document.body.append(one);
  });
  await load("img", "src"); await load("script", "src");
  await new Promise(done => {
    const events = new EventSource(run); events.onerror = () => { events.close(); done(); };
  });
  return tries;
}"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def foreign_page(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "index.html").write_text(PAGE)
    handler = functools.partial(_Quiet, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as pages:
        thread = threading.Thread(target=pages.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{pages.server_port}/"
        pages.shutdown()
        thread.join()


def test_no_page_on_another_port_can_cause_a_run(
    server: EmbeddedServer, actors: FakeClient, foreign_page: str
):
    chromium = find_chromium()
    if chromium is None:
        pytest.skip(NO_CHROMIUM)

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium)
        page = browser.new_page()
        page.goto(foreign_page)
        tries = page.evaluate(ATTACKS, {"url": server.url, "token": server.token})
        browser.close()

    assert len(tries) == 16
    assert {one for one in tries if one != "failed"} <= {"opaque0"}  # unreadable
    assert actors.sent == []
    assert actors.cancelled == []


# What a page can do that has got hold of a ticket.
WITH_A_TICKET = """async ({url, ticket}) => {
  const key = {"X-Agent-Ticket": ticket};
  const json = {"Content-Type": "application/json"};
  const stop = JSON.stringify({message_id: "m1"});
  const run = JSON.stringify({messages: [{role: "user", content: "x"}]});
  const attempt = async (path, options) => {
    try { return (await fetch(url + path, options)).status; }
    catch (error) { return "failed"; }
  };
  const post = {method: "POST", headers: {...json, ...key}, body: stop};
  return {
    stop: await attempt("/tickets/cancel", post),
    withCookies: await attempt("/tickets/cancel", {...post, credentials: "include"}),
    withoutTicket: await attempt("/tickets/cancel", {...post, headers: json}),
    plain: await attempt("/tickets/cancel", {...post, headers: key}),
    bearer: await attempt("/tickets/cancel", {...post,
      headers: {...json, ...key, Authorization: "Bearer " + ticket}}),
    put: await attempt("/tickets/cancel", {...post, method: "PUT"}),
    read: await attempt("/agents", {headers: key}),
    run: await attempt("/agents/echo/run", {...post, body: run}),
  };
}"""


def test_a_page_with_its_own_ticket_may_stop_and_no_page_may_more(
    server: EmbeddedServer, actors: FakeClient, foreign_page: str
):
    chromium = find_chromium()
    if chromium is None:
        pytest.skip(NO_CHROMIUM)
    taken: list[str] = []

    async def deliver(_actor_id: ActorId, message: Mapping[str, Any]) -> bool:
        taken.append(message["message_id"])
        return True

    origin = foreign_page.rstrip("/")
    conversation = ActorId("echo", "c1")
    own = server.tickets.issue(conversation, origin, deliver)
    other = server.tickets.issue(conversation, "http://127.0.0.1:1", deliver)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium)
        page = browser.new_page()
        page.goto(foreign_page)
        tries = {
            name: page.evaluate(WITH_A_TICKET, {"url": server.url, "ticket": secret})
            for name, secret in {"own": own.secret, "other": other.secret}.items()
        }
        own.revoke()
        late = page.evaluate(WITH_A_TICKET, {"url": server.url, "ticket": own.secret})
        browser.close()

    refused = dict.fromkeys(tries["own"], "failed")
    # The browser asked before, and the server has allowed nothing but this.
    assert tries["own"] == refused | {"stop": 202, "withoutTicket": 401, "plain": 415}
    assert tries["other"] == refused | dict.fromkeys(
        ("stop", "withoutTicket", "plain"), 401
    )
    assert late == refused
    assert taken == ["m1"]
    assert actors.sent == []
