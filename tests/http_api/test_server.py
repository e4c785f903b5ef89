"""The embedded server: start, stop, what it shows and what it leaves alone."""

import asyncio
import contextlib
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from agent_runtime_nb.exceptions import InvalidRequest
from agent_runtime_nb.http_api import sse
from agent_runtime_nb.http_api.server import EmbeddedServer, listen
from agent_runtime_nb.http_api.sse import StreamSlots
from tests.http_api.fakes import FakeClient, FakeDirectory

HELLO = {"messages": [{"role": "user", "content": "Hello"}]}


def made(**options: object) -> EmbeddedServer:
    return EmbeddedServer(FakeClient(), FakeDirectory(), **options)  # pyright: ignore[reportArgumentType]


def bearer(server: EmbeddedServer) -> dict[str, str]:
    return {"Authorization": f"Bearer {server.token}"}


def test_it_answers_when_start_returns_and_not_when_stop_has_returned():
    server = made()

    server.start()
    answer = httpx2.get(server.url + "/agents", headers=bearer(server))
    ended = server.stop()

    assert answer.status_code == 200
    assert ended
    assert not server.running
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(server.url + "/agents")


def test_a_connection_that_comes_as_the_server_stops_is_closed():
    for _ in range(20):
        server = EmbeddedServer(FakeClient(), FakeDirectory()).start()
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            assert server.stop()

            with contextlib.suppress(ConnectionResetError):  # it was not accepted
                assert connection.recv(1) == b""


def test_starting_twice_is_once_and_stopping_twice_is_once():
    server = made()

    first = server.start().url
    second = server.start().url

    assert first == second
    assert server.stop()
    assert server.stop()


def test_it_can_be_started_again():
    server = made()
    server.start()
    server.stop()

    server.start()

    answer = httpx2.get(server.url + "/health", headers=bearer(server))
    assert answer.status_code == 200
    assert server.stop()


def test_a_port_that_is_taken_is_an_error_that_says_so():
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(
            OSError, match=f"port {port} on 127.0.0.1 is already in use"
        ):
            made(port=port).start()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])  # noqa: S104
def test_listening_to_other_machines_must_be_said(host: str):
    with pytest.raises(InvalidRequest, match="allow_remote"):
        made(host=host)


@pytest.mark.parametrize("token", ["", "  "])
def test_an_empty_token_is_refused(token: str):
    with pytest.raises(InvalidRequest, match="token: must not be empty"):
        made(token=token)


def test_it_can_listen_everywhere_if_that_is_said():
    server = made(host="0.0.0.0", allow_remote=True).start()  # noqa: S104

    try:
        answer = httpx2.get(server.url + "/agents", headers=bearer(server))
    finally:
        server.stop()

    assert answer.status_code == 200
    assert server.url.startswith("http://127.0.0.1:")


def test_the_reprs_have_links_and_a_command_but_not_the_token():
    server = made(example_agent="mock-ai")
    before = repr(server)
    server.start()

    shown, markdown = repr(server), server._repr_markdown_()
    server.stop()

    assert before == repr(server) == "EmbeddedServer(stopped)"
    assert server.url in shown
    assert f"[interactive docs]({server.docs_url})" in markdown
    assert "server.token" in markdown
    assert 'curl -s -H "Authorization: Bearer $TOKEN"' in markdown
    assert f"{server.url}/agents/mock-ai/run" in markdown
    for text in (shown, markdown, str(vars(server))):
        assert server.token not in text.replace(f"'token': '{server.token}'", "")


def test_the_command_of_the_repr_works_as_it_stands():
    server = made().start()
    command = re.findall(r"```sh\n(.*)\n```", server._repr_markdown_())[0]

    try:
        done = subprocess.run(
            ["sh", "-c", f"{command} -S"],  # noqa: S607
            check=True,
            capture_output=True,
            env={**os.environ, "TOKEN": server.token},
            timeout=30,
        )
    finally:
        server.stop()

    assert b'"content":"hi"' in done.stdout


def test_a_kept_connection_answers_without_the_delay_of_nagle(http: httpx2.Client):
    answers = [http.get("/agents") for _ in range(40)]

    usual = statistics.median(answer.elapsed.total_seconds() for answer in answers)
    assert usual < 0.03  # 44 ms with Nagle's algorithm and delayed ACKs


def test_signal_handlers_stay_as_they_were():
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    server = made().start()

    during = [signal.getsignal(number) for number in numbers]
    server.stop()

    assert during == before == [signal.getsignal(number) for number in numbers]


def test_open_streams_and_waiting_requests_are_asked_to_come_back_when_it_stops():
    actors = FakeClient(updates=1, gate=asyncio.Event())
    server = EmbeddedServer(actors, FakeDirectory()).start()
    answers: list[httpx2.Response] = []

    def wait_for_answer() -> None:
        answers.append(
            httpx2.post(
                server.url + "/agents/echo/run",
                json=HELLO,
                headers=bearer(server),
                timeout=20,
            )
        )

    waiting = threading.Thread(target=wait_for_answer)
    with httpx2.stream(
        "POST",
        server.url + "/agents/echo/run",
        json={**HELLO, "stream": True},
        headers=bearer(server),
        timeout=20,
    ) as stream:
        chunks = stream.iter_text()
        seen = next(chunks)
        waiting.start()
        assert _until(lambda: len(actors.sent) == 2, server)

        ended = server.stop(timeout=2.5)
        seen += "".join(chunks)
    waiting.join(5)

    assert ended
    assert "event: update" in seen
    assert "event: error" in seen
    assert "urn:agent-runtime-nb:problem:stopping" in seen
    (answer,) = answers
    assert answer.status_code == 503
    assert answer.json()["type"].endswith(":stopping")
    assert answer.headers["x-request-id"] == "made-1"


def test_a_reader_that_goes_away_frees_its_stream_and_cancels_nothing():
    actors = FakeClient(endless=True)
    server = EmbeddedServer(actors, FakeDirectory()).start()
    slots = _slots_of(server)

    try:
        with httpx2.stream(
            "POST",
            server.url + "/agents/echo/run",
            json={**HELLO, "stream": True},
            headers=bearer(server),
        ) as stream:
            chunks = stream.iter_bytes()  # held: it closes the stream when it goes
            next(chunks)
            open_then = slots.count
        closed = _until(lambda: slots.count == 0, server)
    finally:
        server.stop()

    assert open_then == 1
    assert closed
    assert actors.cancelled == []


def test_a_stream_too_many_is_refused_before_anything_is_accepted():
    actors = FakeClient(endless=True)
    server = EmbeddedServer(actors, FakeDirectory()).start()
    _slots_of(server)._limit = 1
    url, headers = server.url + "/agents/echo/run", bearer(server)
    body = {**HELLO, "stream": True}

    try:
        with httpx2.stream("POST", url, json=body, headers=headers) as stream:
            chunks = stream.iter_bytes()  # held: it closes the stream when it goes
            next(chunks)
            refused = httpx2.post(url, json=body, headers=headers)
    finally:
        server.stop()

    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "5"
    assert len(actors.sent) == 1


@contextmanager
def lazy_reader(server: EmbeddedServer) -> Generator[socket.socket]:
    """Asks for an endless stream and reads nothing of it."""
    host, port = server.url.removeprefix("http://").split(":")
    body = b'{"messages": [{"role": "user", "content": "x"}], "stream": true}'
    head = (
        f"POST /agents/echo/run HTTP/1.1\r\nHost: {host}:{port}\r\n"
        f"Authorization: Bearer {server.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=10) as lazy:
        lazy.sendall(head.encode() + body)
        assert _until(lambda: _slots_of(server).count == 1, server)
        yield lazy


def test_a_reader_that_does_not_read_stops_neither_others_nor_the_end():
    server = EmbeddedServer(FakeClient(endless=True), FakeDirectory()).start()

    with lazy_reader(server):
        # The endless turn would fill the memory, or the loop, by now.
        with httpx2.Client(headers=bearer(server), trust_env=False) as http:
            answers = [http.get(server.url + "/agents") for _ in range(20)]
        ended = server.stop(timeout=2.5)  # the lazy one is still there

    assert ended
    assert [answer.status_code for answer in answers] == [200] * 20


def test_a_reader_that_does_not_read_is_cut_off_in_time(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(sse, "WRITE_TIMEOUT", 0.2)
    server = EmbeddedServer(FakeClient(endless=True), FakeDirectory()).start()

    try:
        with lazy_reader(server) as lazy:
            closed = _until(lambda: _slots_of(server).count == 0, server)
            while lazy.recv(1_000_000):  # ends, as the connection is closed
                pass
    finally:
        server.stop()

    assert closed
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def _slots_of(server: EmbeddedServer) -> StreamSlots:
    """The counter of open streams, as the app holds it."""
    return server._app.state.streams


def _until(condition: Callable[[], bool], server: EmbeddedServer) -> bool:
    """Ask the server until it holds; every question is a turn of its loop."""
    with httpx2.Client(headers=bearer(server), trust_env=False) as http:
        for _ in range(2000):
            if condition():
                return True
            http.get(server.url + "/health")
    return False


def test_without_fastapi_the_extra_is_named(tmp_path: Path):
    (tmp_path / "fastapi.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'fastapi'\", name='fastapi')"
    )
    script = (
        "from agent_runtime_nb._base.extras import load\n"
        "try:\n    load('agent_runtime_nb.http_api.server', 'http')\n"
        "except ImportError as error:\n    print(type(error).__name__, error)\n"
        "try:\n    import agent_runtime_nb.http_api.app\n"
        "except ImportError as error:\n    print(type(error).__name__, error)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path())])},
        timeout=60,
    )

    line = (
        "MissingExtra 'fastapi' is not installed; it comes with: "
        'pip install "agent-runtime-nb[http]"'
    )
    assert done.stdout.splitlines() == [line, line]


def test_a_process_with_an_open_stream_ends_by_itself():
    script = (
        "import httpx2\n"
        "from agent_runtime_nb.http_api.server import EmbeddedServer\n"
        "from tests.http_api.fakes import FakeClient, FakeDirectory\n"
        "s = EmbeddedServer(FakeClient(endless=True), FakeDirectory()).start()\n"
        "c = httpx2.Client(headers={'Authorization': f'Bearer {s.token}'})\n"
        "r = c.build_request('POST', s.url + '/agents/echo/run', json={'stream': True,"
        " 'messages': [{'role': 'user', 'content': 'x'}]})\n"
        "stream = c.send(r, stream=True)\n"
        "print(len(next(stream.iter_bytes())) > 0)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", script],
        check=False,
        capture_output=True,
        text=True,
        timeout=20,
    )

    assert done.stdout == "True\n"
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
