"""What the guard limits beside who may enter: depth, time of a token, other origins."""

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from agent_runtime_nb.exceptions import InvalidRequest
from agent_runtime_nb.http_api.guard import GuardOptions
from agent_runtime_nb.http_api.server import EmbeddedServer
from tests.http_api.fakes import FakeClient, FakeDirectory

HELLO = {"messages": [{"role": "user", "content": "Hello"}]}
CANARY = "canary-" + "token-1"
APP = "https://app.example.org"

Serve = Callable[..., EmbeddedServer]


@pytest.fixture
def serve(actors: FakeClient, directory: FakeDirectory) -> Iterator[Serve]:
    made: list[EmbeddedServer] = []

    def serve(**options: Any) -> EmbeddedServer:
        made.append(EmbeddedServer(actors, directory, **options).start())
        return made[-1]

    yield serve
    for server in made:
        assert server.stop()


def run(server: EmbeddedServer, token: str, **headers: str) -> httpx2.Response:
    sent = {"Authorization": f"Bearer {token}", **headers}
    url = f"{server.url}/agents/echo/run"
    return httpx2.post(url, json=HELLO, headers=sent, trust_env=False)


# --- depth ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "status"),
    [
        ("[" * 97 + "]" * 97, 422),  # with those around it a hundred
        ("[" * 98 + "]" * 98, 400),
        ('{"a":' * 500_000, 400),
        ("[" * 900_000, 400),
        ('"' + r"\"[" * 300_000, 422),  # a text that does not end
        (json.dumps(r'[{"[\\' * 10_000), 200),  # brackets in a text are no levels
    ],
)
def test_a_body_may_be_nested_a_hundred_levels_and_no_more(
    http: httpx2.Client, actors: FakeClient, content: str, status: int
):
    body = f'{{"messages": [{{"role": "user", "content": {content}}}]}}'

    answer = http.post(
        "/agents/echo/run",
        content=body.encode(),
        headers={"Content-Type": "application/json"},
    )

    assert answer.status_code == status
    assert answer.elapsed.total_seconds() < 5
    assert len(actors.sent) == (status == 200)


# --- the token ------------------------------------------------------------------------


def test_a_replaced_token_lets_nobody_in_and_the_new_one_does(serve: Serve):
    server = serve()
    old = server.token

    new = server.rotate_token()

    assert new == server.token != old
    assert run(server, old).status_code == 401
    assert run(server, new).status_code == 200


def test_streams_of_the_replaced_token_end_and_say_so(serve: Serve, actors: FakeClient):
    server = serve()
    actors.endless = True
    headers = {"Authorization": f"Bearer {server.token}"}

    with httpx2.stream(
        "POST",
        f"{server.url}/agents/echo/run",
        json={**HELLO, "stream": True},
        headers=headers,
        timeout=20,
        trust_env=False,
    ) as stream:
        chunks = stream.iter_text()
        next(chunks)
        server.rotate_token()
        last = "".join(chunks)[-1000:]

    assert '"type":"urn:agent-runtime-nb:problem:token-changed"' in last


def test_a_token_that_no_header_can_carry_is_refused_and_the_old_one_stays(
    serve: Serve,
):
    server = serve()
    for token in ("", " x", "x\n", "a\r\nX-Y: z"):
        with pytest.raises(InvalidRequest):
            server.rotate_token(token)

    assert run(server, server.token).status_code == 200


def test_the_token_is_in_no_repr_log_error_or_url(
    serve: Serve, actors: FakeClient, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    server = serve(token=CANARY)
    actors.error = RuntimeError("boom")

    reported = [
        run(server, CANARY).text,
        run(server, "wrong").text,
        run(server, CANARY, Origin="https://evil.example").text,
        httpx2.get(f"{server.url}/openapi.json").text,
        httpx2.get(server.docs_url).text,
        server.url,
        server.docs_url,
        repr(server),
        server._repr_markdown_(),
        repr(server._app.state.guard),
        repr(server._app.state.access),
    ]
    # Only what this package and the server log; the test's own client logs itself.
    reported += [one.getMessage() for one in caplog.records if "httpx" not in one.name]

    assert CANARY not in "\n".join(reported)
    url = f"{server.url}/agents?token={CANARY}&access_token={CANARY}"
    assert httpx2.get(url, trust_env=False).status_code == 401


# --- other origins --------------------------------------------------------------------


def test_a_listed_origin_may_ask_and_call_with_the_token(serve: Serve):
    server = serve(cors_origins=[APP])
    headers = {"Origin": APP, "Sec-Fetch-Site": "cross-site"}

    preflight = httpx2.options(
        f"{server.url}/agents/echo/run",
        headers={**headers, "Access-Control-Request-Method": "POST"},
        trust_env=False,
    )
    called = run(server, server.token, **headers)
    without = run(server, "wrong", **headers)
    unknown = httpx2.get(
        f"{server.url}/agents/nobody",
        headers={**headers, "Authorization": f"Bearer {server.token}"},
        trust_env=False,
    )

    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == APP
    assert "authorization" in preflight.headers["access-control-allow-headers"]
    assert called.status_code == 200
    assert called.headers["access-control-allow-origin"] == APP
    assert "access-control-allow-credentials" not in called.headers
    assert without.status_code == 401
    assert without.headers["access-control-allow-origin"] == APP
    assert unknown.status_code == 404
    assert unknown.headers["access-control-allow-origin"] == APP


@pytest.mark.parametrize(
    "origin", ["https://app.example.org.evil", "http://app.example.org", "null"]
)
def test_an_origin_near_a_listed_one_may_not(
    serve: Serve, actors: FakeClient, origin: str
):
    server = serve(cors_origins=[APP])

    asked = httpx2.options(
        f"{server.url}/agents/echo/run",
        headers={"Origin": origin, "Access-Control-Request-Method": "POST"},
        trust_env=False,
    )
    called = run(server, server.token, Origin=origin)

    assert asked.status_code == called.status_code == 403
    assert "access-control-allow-origin" not in asked.headers
    assert actors.sent == []


@pytest.mark.parametrize("origin", ["*", "app.example.org", "https://a/b", ""])
def test_what_is_no_origin_cannot_be_listed(origin: str):
    with pytest.raises(InvalidRequest, match="cors_origins"):
        GuardOptions(cors_origins=[origin])
