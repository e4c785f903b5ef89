"""What a page with a ticket may do, and everything that it may not, over real sockets."""

import logging
from collections.abc import Mapping
from typing import Any

import httpx2
import pytest

from agent_runtime_nb.exceptions import LoopBlocked
from agent_runtime_nb.http_api.jupyter import addresses_for
from agent_runtime_nb.http_api.server import EmbeddedServer
from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.side_channel import tickets as tickets_module
from agent_runtime_nb.side_channel.tickets import TICKET_LIFE, Ticket, Tickets
from tests.http_api.fakes import FakeClient
from tests.http_api.test_guard import raw, status_of

PAGE = "http://127.0.0.1:8888"
CONVERSATION = ActorId("echo", "c1")
STOP = {"message_id": "m1"}
ANSWER = {"turn": "m1", "request_id": "a1", "decision": "once"}
HELLO = {"messages": [{"role": "user", "content": "Hello"}]}
VERBS = ["renew", "cancel", "answer"]


class Desk:
    """Takes messages of pages, as a chat panel does that shows one turn."""

    def __init__(self) -> None:
        self.taken: list[tuple[ActorId, dict[str, Any]]] = []
        self.is_blocked = False

    async def deliver(self, actor_id: ActorId, message: Mapping[str, Any]) -> bool:
        if self.is_blocked:
            raise LoopBlocked(5)
        if "m1" not in message.values() and message["type"] != "ping":
            return False
        self.taken.append((actor_id, dict(message)))
        return True


class Page:
    """A page at an origin, with a ticket or none."""

    def __init__(self, server: EmbeddedServer, ticket: str, origin: str = PAGE) -> None:
        self._url = server.url
        self.headers = {"Origin": origin, "X-Agent-Ticket": ticket}

    def post(
        self, verb: str, json: Any = None, **headers: str | None
    ) -> httpx2.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        merged = {**self.headers, **named}
        sent = {name: value for name, value in merged.items() if value is not None}
        body: Any = {} if json is None else json
        url = f"{self._url}/tickets/{verb}"
        return httpx2.post(url, json=body, headers=sent, trust_env=False)


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def ticket(server: EmbeddedServer, desk: Desk) -> Ticket:
    return server.tickets.issue(CONVERSATION, PAGE, desk.deliver)


@pytest.fixture
def page(server: EmbeddedServer, ticket: Ticket) -> Page:
    return Page(server, ticket.secret)


# --- what it may ----------------------------------------------------------------------


def test_a_page_with_its_ticket_stops_and_answers_in_its_conversation(
    page: Page, desk: Desk
):
    stopped = page.post("cancel", STOP)
    answered = page.post("answer", {**ANSWER, "decision": "deny", "reason": "no"})

    assert stopped.status_code == answered.status_code == 202
    assert stopped.json() == {"accepted": True}
    deny = {**ANSWER, "decision": "deny", "reason": "no"}
    assert desk.taken == [
        (CONVERSATION, {"type": "stop", **STOP}),
        (CONVERSATION, {"type": "answer", **deny}),
    ]


def test_the_page_may_read_the_answer_and_no_other_page_may(page: Page):
    answer = page.post("cancel", STOP)
    unknown = page.post("cancel", {"message_id": "of-another"})

    for one in (answer, unknown):
        assert one.headers["access-control-allow-origin"] == PAGE
        assert one.headers["vary"] == "Origin"
        assert "access-control-allow-credentials" not in one.headers
    assert unknown.status_code == 404


def test_a_browser_is_allowed_post_json_and_the_ticket_and_nothing_else(
    server: EmbeddedServer, page: Page
):
    def ask(method: str, headers: str, origin: str = PAGE) -> httpx2.Response:
        sent = {
            "Origin": origin,
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": headers,
        }
        url = f"{server.url}/tickets/cancel"
        return httpx2.request("OPTIONS", url, headers=sent, trust_env=False)

    allowed = ask("POST", "content-type,x-agent-ticket")

    assert allowed.status_code == 204
    assert allowed.headers["access-control-allow-origin"] == PAGE
    assert allowed.headers["access-control-allow-methods"] == "POST"
    named = allowed.headers["access-control-allow-headers"]
    assert named == "content-type, x-agent-ticket"
    for refused in (
        ask("DELETE", "content-type"),
        ask("GET", "x-agent-ticket"),
        ask("POST", "authorization"),
        ask("POST", "content-type", "https://evil.example"),
        ask("POST", "content-type", "null"),
    ):
        assert refused.status_code == 403
        assert "access-control-allow-methods" not in refused.headers


def test_who_says_hello_learns_which_server_this_is_without_a_ticket(
    server: EmbeddedServer, page: Page
):
    answer = page.post("hello", X_Agent_Ticket=None)

    assert answer.json() == {"server": server.tickets.server}


# --- what it may not ------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://127.0.0.1:8889",
        "https://127.0.0.1:8888",
        "http://127.0.0.1:8888.evil.example",
        "null",
        "",
        None,
    ],
)
def test_a_ticket_is_not_good_on_a_page_of_another_origin(
    page: Page, desk: Desk, verb: str, origin: str | None
):
    answer = page.post(verb, ANSWER if verb == "answer" else STOP, Origin=origin)

    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers
    assert desk.taken == []


@pytest.mark.parametrize("verb", VERBS)
def test_what_is_no_ticket_opens_nothing(
    server: EmbeddedServer, page: Page, desk: Desk, ticket: Ticket, verb: str
):
    body = ANSWER if verb == "answer" else STOP
    wrong = [None, "", "x", ticket.secret[:-1], f"{ticket.secret}x", server.token]

    answers = [page.post(verb, body, X_Agent_Ticket=one) for one in wrong]

    assert {answer.status_code for answer in answers} == {401}
    assert {answer.headers["www-authenticate"] for answer in answers} == {"Ticket"}
    assert len({answer.text for answer in answers}) == 1
    assert desk.taken == []


def test_a_ticket_of_one_page_is_not_good_on_another_that_has_its_own(
    server: EmbeddedServer, ticket: Ticket, desk: Desk
):
    other = "http://localhost:8888"
    server.tickets.issue(CONVERSATION, other, desk.deliver)

    answer = Page(server, ticket.secret, other).post("cancel", STOP)

    assert answer.status_code == 401
    assert desk.taken == []


def test_a_turn_of_another_conversation_is_not_found(page: Page, desk: Desk):
    answer = page.post("cancel", {"message_id": "m2"})
    decision = page.post("answer", {**ANSWER, "turn": "m2"})

    assert answer.status_code == decision.status_code == 404
    assert desk.taken == []


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "HEAD"])
def test_another_method_is_refused(
    server: EmbeddedServer, page: Page, desk: Desk, method: str
):
    answer = httpx2.request(
        method, f"{server.url}/tickets/cancel", headers=page.headers, trust_env=False
    )

    assert answer.status_code == 405
    assert desk.taken == []


def test_a_ticket_opens_no_other_route(
    server: EmbeddedServer, page: Page, ticket: Ticket, actors: FakeClient
):
    bearer = {"Authorization": f"Bearer {ticket.secret}"}
    for headers in (page.headers, {**page.headers, **bearer}, bearer):
        run = httpx2.post(
            f"{server.url}/agents/echo/run",
            json=HELLO,
            headers=headers,
            trust_env=False,
        )
        listed = httpx2.get(f"{server.url}/agents", headers=headers, trust_env=False)

        assert {run.status_code, listed.status_code} <= {401, 403}
        assert "access-control-allow-origin" not in run.headers
    assert actors.sent == []


def test_the_servers_token_is_no_ticket(
    server: EmbeddedServer, http: httpx2.Client, desk: Desk, ticket: Ticket
):
    answer = http.post("/tickets/cancel", json=STOP, headers={"Origin": PAGE})

    assert answer.status_code == 401
    assert desk.taken == []


def test_a_foreign_host_is_misdirected_with_a_ticket_too(
    server: EmbeddedServer, page: Page, desk: Desk
):
    answer = page.post("cancel", STOP, Host="evil.example")

    assert answer.status_code == 421
    assert desk.taken == []


def test_two_tickets_and_two_origins_are_none(
    server: EmbeddedServer, ticket: Ticket, desk: Desk
):
    own = server.url.removeprefix("http://")
    head = ["POST /tickets/cancel HTTP/1.1", f"Host: {own}", "Connection: close"]
    body = b'{"message_id": "m1"}'
    json = ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    origin, secret = f"Origin: {PAGE}", f"X-Agent-Ticket: {ticket.secret}"

    twice = raw(server, *head, *json, origin, secret, secret, body=body)
    origins = raw(server, *head, *json, origin, origin, secret, body=body)
    once = raw(server, *head, *json, origin, secret, body=body)

    assert [status_of(answer) for answer in (twice, origins, once)] == [401, 403, 202]
    assert len(desk.taken) == 1


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("cancel", {}),
        ("cancel", {**STOP, "conversation": "c2"}),
        ("cancel", []),
        ("answer", {**ANSWER, "decision": "always"}),
        ("answer", {**ANSWER, "approved": True}),
        ("answer", {**ANSWER, "reason": "x" * 10_001}),
        ("renew", {"type": "send"}),
    ],
)
def test_what_is_not_described_is_refused(page: Page, desk: Desk, verb: str, body: Any):
    answer = page.post(verb, body)

    assert answer.status_code == 422
    assert desk.taken == []


def test_a_body_that_is_no_json_is_refused(server: EmbeddedServer, page: Page):
    answer = httpx2.post(
        f"{server.url}/tickets/cancel",
        content=b'{"message_id": "m1"}',
        headers={**page.headers, "Content-Type": "text/plain"},
        trust_env=False,
    )

    assert answer.status_code == 415
    assert answer.headers["access-control-allow-origin"] == PAGE


def test_a_loop_that_does_not_answer_is_said(page: Page, desk: Desk):
    desk.is_blocked = True

    answer = page.post("cancel", STOP)

    assert answer.status_code == 503
    assert answer.json()["retryable"] is True


# --- its life -------------------------------------------------------------------------


def test_a_revoked_ticket_is_refused_though_it_was_good_before(
    page: Page, ticket: Ticket, server: EmbeddedServer, desk: Desk
):
    server.tickets.issue(CONVERSATION, PAGE, desk.deliver)  # its origin stays known
    first = page.post("cancel", STOP)

    ticket.revoke()
    again = page.post("cancel", STOP)

    assert (first.status_code, again.status_code) == (202, 401)
    assert len(desk.taken) == 1
    assert not ticket.renew()


def test_a_ticket_ends_when_nobody_renews_it_and_lives_while_somebody_does(desk: Desk):
    now = [0.0]
    tickets = Tickets(clock=lambda: now[0])
    left, kept = (tickets.issue(CONVERSATION, PAGE, desk.deliver) for _ in range(2))

    now[0] = TICKET_LIFE - 1
    renewed = kept.renew()
    now[0] = TICKET_LIFE
    lives = [ticket.renew() for ticket in (left, kept)]

    assert renewed
    assert lives == [False, True]


def test_the_tickets_end_with_the_server_and_with_its_token(
    server: EmbeddedServer, desk: Desk
):
    reported: list[bool] = []
    server.tickets.on_change = lambda: reported.append(server.tickets.is_open)
    first = server.tickets.issue(CONVERSATION, PAGE, desk.deliver)

    server.rotate_token()
    second = server.tickets.issue(CONVERSATION, PAGE, desk.deliver)
    lives = first.renew(), second.renew()
    server.tickets.close()

    assert lives == (False, True)
    assert not second.renew()
    assert reported == [True, False]
    server.tickets.open()


def test_a_ticket_is_kept_as_its_digest_and_shown_nowhere(
    server: EmbeddedServer,
    page: Page,
    ticket: Ticket,
    desk: Desk,
    caplog: pytest.LogCaptureFixture,
):
    caplog.set_level(logging.DEBUG)
    answers = [page.post("cancel", STOP), page.post("cancel"), page.post("nothing")]
    ticket.revoke()
    answers.append(page.post("cancel", STOP))

    kept = server.tickets.issue(CONVERSATION, PAGE, desk.deliver)
    records = vars(server.tickets)["_records"]
    shown = (
        f"{kept!r} {ticket!r} {server!r} {server.tickets!r} {records!r} {caplog.text}"
    )

    for secret in (ticket.secret, kept.secret):
        assert secret not in shown
        assert all(secret not in answer.text for answer in answers)
        assert all(secret not in str(answer.headers) for answer in answers)
    assert len(ticket.secret) == 43


def test_the_watch_over_the_tests_knows_each_ticket(
    pytestconfig: pytest.Config, ticket: Ticket
):
    from tests.token_watch import _WATCH  # noqa: PLC0415 - the plugin must be loaded

    assert ticket.secret in pytestconfig.stash[_WATCH].tokens
    assert tickets_module.new_ticket() in pytestconfig.stash[_WATCH].tokens


# --- its addresses ---------------------------------------------------------------------

HERE = "http://127.0.0.1:4321"
PROXIED = "/user/ada/proxy/4321"


@pytest.mark.parametrize(
    ("origin", "proxied", "hosts", "urls"),
    [
        (PAGE, None, (), (HERE,)),
        ("http://localhost:8888", None, (), (HERE,)),
        ("http://[::1]:8888", None, (), (HERE,)),
        (PAGE, PROXIED, ("127.0.0.1:8888",), (HERE, PAGE + PROXIED)),
        (PAGE, PROXIED, (), (HERE,)),
        (
            "https://hub.example.org",
            PROXIED,
            ("hub.example.org",),
            ("https://hub.example.org" + PROXIED,),
        ),
        # Plain http must not be called from a page over https.
        (
            "https://localhost:8888",
            PROXIED,
            ("localhost:8888",),
            ("https://localhost:8888" + PROXIED,),
        ),
    ],
)
def test_a_page_is_sent_where_it_may_call(
    origin: str, proxied: str | None, hosts: tuple[str, ...], urls: tuple[str, ...]
):
    found = addresses_for(origin, HERE, proxied, hosts)

    assert (found.urls, found.problem) == (urls, "")


@pytest.mark.parametrize(
    ("origin", "proxied", "what"),
    [
        ("https://hub.example.org", None, "jupyter-server-proxy"),
        ("https://localhost:8888", None, "jupyter-server-proxy"),
        ("http://10.0.0.7:8888", None, "jupyter-server-proxy"),
        ("https://hub.example.org", PROXIED, "allowed_hosts=['hub.example.org']"),
    ],
)
def test_without_an_address_the_problem_says_what_would_give_one(
    origin: str, proxied: str | None, what: str
):
    found = addresses_for(origin, HERE, proxied, ())

    assert found.urls == ()
    assert what in found.problem
