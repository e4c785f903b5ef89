"""The embedded server when something fails: a port, a listener, its own start."""

import asyncio
import socket
import threading

import httpx2
import pytest
import uvicorn

from agent_runtime_nb.exceptions import InvalidRequest
from agent_runtime_nb.http_api import server as server_module
from agent_runtime_nb.http_api.server import EmbeddedServer, listen
from tests.http_api.fakes import FakeClient, FakeDirectory


def made() -> EmbeddedServer:
    return EmbeddedServer(FakeClient(), FakeDirectory())


@pytest.mark.parametrize("port", [-1, 65536, 99999])
def test_a_number_that_no_port_has_is_refused(port: int):
    with pytest.raises(InvalidRequest, match="port: must be 0 to 65535"):
        listen("127.0.0.1", port)


def test_a_listener_that_fails_stops_neither_the_server_nor_a_new_token(
    caplog: pytest.LogCaptureFixture,
):
    server = made().start()
    old = server.token

    def fail() -> None:
        raise RuntimeError("a panel is broken")

    server.tickets.on_change = fail
    new = server.rotate_token()
    headers = {"Authorization": f"Bearer {old}"}
    with_old = httpx2.get(server.url + "/agents", headers=headers)
    ended = server.stop()

    assert new != old
    assert with_old.status_code == 401
    assert ended
    assert not server.running
    assert "a panel is broken" in caplog.text


def test_a_server_that_is_late_is_given_up_and_ends(monkeypatch: pytest.MonkeyPatch):
    gate = threading.Event()
    startup = uvicorn.Server.startup

    async def late(self: uvicorn.Server, sockets: list[socket.socket] | None) -> None:
        await startup(self, sockets)
        await asyncio.to_thread(gate.wait, 20)

    monkeypatch.setattr(uvicorn.Server, "startup", late)
    monkeypatch.setattr(server_module, "_START_TIMEOUT", 0.2)
    before = set(threading.enumerate())

    with pytest.raises(RuntimeError, match="did not start"):
        made().start()
    threads = [one for one in threading.enumerate() if one.name == "http-api"]
    (thread,) = set(threads) - before
    gate.set()
    thread.join(10)

    assert not thread.is_alive()
