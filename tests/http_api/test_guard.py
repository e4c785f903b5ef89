"""Who may enter, over real sockets."""

import socket
import threading
from collections.abc import Iterator

import httpx2
import pytest

from agent_runtime_nb.http_api import connection
from agent_runtime_nb.http_api.app import create_app
from agent_runtime_nb.http_api.guard import GuardOptions
from agent_runtime_nb.http_api.server import EmbeddedServer, HttpServer, listen
from tests.http_api.fakes import FakeClient, FakeDirectory

HELLO = {"messages": [{"role": "user", "content": "Hello"}]}
ROUTES = [
    ("GET", "/agents"),
    ("GET", "/agents/echo"),
    ("GET", "/health"),
    ("POST", "/agents/echo/run"),
    ("GET", "/agents/echo/conversations/c1/requests/m1"),
    ("POST", "/agents/echo/conversations/c1/requests/m1/cancel"),
    ("GET", "/nothing"),
    ("OPTIONS", "/agents/echo/run"),
]
OPEN = ["/", "/docs", "/docs/swagger-ui.css", "/openapi.json"]


def host_of(server: EmbeddedServer) -> str:
    return server.url.removeprefix("http://")


def raw(server: EmbeddedServer, *lines: str, body: bytes = b"") -> bytes:
    """What comes back for a request that is written by hand, read to its end."""
    host, _, port = host_of(server).partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as sock:
        sock.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        received = b""
        while part := sock.recv(65536):
            received += part
    return received


def status_of(received: bytes) -> int:
    return int(received.split(b" ", 2)[1])


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_no_route_opens_without_the_token(
    server: EmbeddedServer,
    actors: FakeClient,
    anyone: httpx2.Client,
    method: str,
    path: str,
):
    json = HELLO if method == "POST" else None

    for headers in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {server.token}"},
        {"Authorization": f"Bearer {server.token}x"},
        {"Authorization": "Bearer"},
    ):
        answer = anyone.request(method, server.url + path, json=json, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"

    in_url = anyone.request(
        method, server.url + path, json=json, params={"token": server.token}
    )
    assert in_url.status_code == 401
    assert actors.sent == actors.cancelled == []


@pytest.mark.parametrize("path", OPEN)
def test_the_docs_open_without_a_token_and_from_a_link(
    server: EmbeddedServer, anyone: httpx2.Client, path: str
):
    plain = anyone.get(server.url + path)
    linked = anyone.get(server.url + path, headers={"Sec-Fetch-Site": "cross-site"})

    assert plain.status_code == linked.status_code == 200


@pytest.mark.parametrize("path", [*OPEN, "/agents", "/nothing"])
@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1",
        "127.0.0.1:1",
        "{host}.evil.example",
        "evil.example@{host}",
        "127.0.0.1.:{port}",
        "localhost.evil.example:{port}",
        "[::1%25lo]:{port}",
        "",
    ],
)
def test_a_foreign_host_is_misdirected_on_every_path(
    server: EmbeddedServer, http: httpx2.Client, path: str, host: str
):
    own = host_of(server)
    named = host.format(host=own, port=own.rpartition(":")[2])

    answer = http.get(path, headers={"Host": named})

    assert answer.status_code == 421


def test_two_hosts_and_an_absolute_target_of_another_host_are_misdirected(
    server: EmbeddedServer,
):
    own = host_of(server)
    close = "Connection: close"

    twice = raw(server, "GET /docs HTTP/1.1", f"Host: {own}", "Host: evil", close)
    none = raw(server, "GET /docs HTTP/1.0", close)
    absolute = raw(server, "GET http://evil/docs HTTP/1.1", "Host: evil", close)

    assert [status_of(answer) for answer in (twice, none, absolute)] == [421] * 3


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LocalHost", "[::1]"])
def test_the_loopback_names_are_served(
    server: EmbeddedServer, http: httpx2.Client, name: str
):
    port = host_of(server).rpartition(":")[2]

    answer = http.get("/agents", headers={"Host": f"{name}:{port}"})

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://{host}.evil.example"},
        {"Origin": "file://{host}"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "something-new"},
    ],
)
def test_a_page_of_another_site_cannot_run_anything(
    server: EmbeddedServer,
    http: httpx2.Client,
    actors: FakeClient,
    headers: dict[str, str],
):
    sent = {k: v.format(host=host_of(server)) for k, v in headers.items()}

    answer = http.post("/agents/echo/run", json=HELLO, headers=sent)

    assert answer.status_code == 403
    assert actors.sent == []
    assert "access-control-allow-origin" not in answer.headers


def test_our_own_page_may_run_things(server: EmbeddedServer, http: httpx2.Client):
    headers = {"Origin": server.url, "Sec-Fetch-Site": "same-origin"}

    answer = http.post("/agents/echo/run", json=HELLO, headers=headers)

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json-seq"},
        {"Content-Type": ""},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
def test_a_body_that_is_not_plain_json_is_refused(
    http: httpx2.Client, actors: FakeClient, headers: dict[str, str]
):
    answer = http.post("/agents/echo/run", content=b"{}", headers=headers)

    assert answer.status_code == 415
    assert actors.sent == []


def body_of(size: int) -> bytes:
    start, end = b'{"messages": [{"role": "user", "content": "', b'"}]}'
    return start + b"x" * (size - len(start) - len(end)) + end


def in_pieces(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), 65536):
        yield body[start : start + 65536]


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize(("size", "status"), [(10_000_000, 200), (10_000_001, 413)])
def test_a_run_may_have_ten_megabytes_and_no_more(
    http: httpx2.Client, size: int, status: int, framing: str
):
    body = body_of(size)

    answer = http.post(
        "/agents/echo/run",
        content=in_pieces(body) if framing == "chunked" else body,
        headers={"Content-Type": "application/json"},
    )

    assert answer.status_code == status


def test_any_other_body_may_have_one_megabyte(http: httpx2.Client):
    answer = http.post(
        "/agents/echo/conversations/c/requests/m/cancel", json="x" * 1_000_000
    )

    assert answer.status_code == 413


class Slow:
    """The API with short deadlines, on a thread of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(connection, "HEAD_TIMEOUT", 0.3)
        guard = GuardOptions(token=None, receipt_timeout=0.3)
        self.sock = listen("127.0.0.1", 0)
        self.port = self.sock.getsockname()[1]
        app = create_app(FakeClient(), FakeDirectory(), guard=guard)
        self.server = HttpServer(app)
        self._embedded = EmbeddedServer(FakeClient(), FakeDirectory())
        self._thread = threading.Thread(
            target=self._embedded._serve, args=(self.server, self.sock)
        )
        self._thread.start()
        assert self.server.ready.wait(5)

    def stop(self) -> None:
        self.server.exit_soon()
        self._thread.join(10)
        assert not self._thread.is_alive()


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Slow]:
    running = Slow(monkeypatch)
    yield running
    running.stop()


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "GET /agents HTTP/1.1\r\nHost: ",
        "GET /agents HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\nGET /age",
    ],
    ids=["silent", "half a head", "half a second head"],
)
def test_a_head_that_does_not_arrive_closes_the_connection(slow: Slow, sent: str):
    with socket.create_connection(("127.0.0.1", slow.port), timeout=10) as sock:
        sock.sendall(sent.format(port=slow.port).encode())
        received = b""
        while part := sock.recv(65536):  # ends when the server closes
            received += part

    assert received.count(b"HTTP/1.1 200") == sent.count("\r\n\r\n")


def test_a_body_that_does_not_arrive_is_408(slow: Slow):
    head = (
        f"POST /agents/echo/run HTTP/1.1\r\nHost: 127.0.0.1:{slow.port}\r\n"
        "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    )

    with socket.create_connection(("127.0.0.1", slow.port), timeout=10) as sock:
        sock.sendall(head.encode())
        received = b""
        while part := sock.recv(65536):
            received += part

    assert status_of(received) == 408


def test_a_guard_without_a_token_still_keeps_foreign_pages_out(
    slow: Slow, anyone: httpx2.Client
):
    url = f"http://127.0.0.1:{slow.port}/agents/echo/run"

    own = anyone.post(url, json=HELLO)
    foreign = anyone.post(url, json=HELLO, headers={"Origin": "http://evil"})

    assert own.status_code == 200
    assert foreign.status_code == 403


def test_a_host_that_was_allowed_is_served(
    actors: FakeClient, directory: FakeDirectory
):
    server = EmbeddedServer(actors, directory, allowed_hosts=["Hub.Example"]).start()
    headers = {"Authorization": f"Bearer {server.token}"}

    try:
        allowed = httpx2.get(
            server.url + "/agents", headers={**headers, "Host": "hub.example"}
        )
        near = httpx2.get(
            server.url + "/agents", headers={**headers, "Host": "hub.example:80"}
        )
    finally:
        server.stop()

    assert allowed.status_code == 200
    assert near.status_code == 421
