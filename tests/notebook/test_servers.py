"""`start()` on the server of a URL, whose password nobody sees."""

import logging
import uuid
from collections.abc import Callable

import pytest

from agent_runtime_nb.exceptions import StorageError
from tests.contracts.redis_subject import PASSWORD
from tests.notebook.conftest import Start

WRONG = "wr0ngpassw0rd"


def redis_url(request: pytest.FixtureRequest) -> tuple[str, str]:
    return request.getfixturevalue("redis_server").url, PASSWORD


def postgres_url(request: pytest.FixtureRequest) -> tuple[str, str]:
    server = request.getfixturevalue("postgres_server")
    return server.url(), server.password


URLS: dict[str, Callable[[pytest.FixtureRequest], tuple[str, str]]] = {
    "redis": redis_url,
    "postgres": postgres_url,
}
SERVERS = pytest.mark.parametrize("server", URLS)


@SERVERS
@pytest.mark.parametrize("loop", ["notebook", "thread"])
async def test_conversations_are_kept_on_the_server_of_a_url(
    server: str,
    loop: str,
    begin: Start,
    request: pytest.FixtureRequest,
    caplog: pytest.LogCaptureFixture,
):
    url, password = URLS[server](request)
    caplog.set_level(logging.DEBUG)
    conversation = uuid.uuid4().hex

    rt = begin("echo", storage=url, loop=loop)
    starting = [repr(rt), rt._repr_html_()]
    answer = await rt.ask("Hello", conversation=conversation)
    health = await rt.directory.health()

    assert answer.text == "Echo: Hello"
    assert type(rt.storage).__module__.split(".")[2] in ("redis", "postgres")
    assert health.storage == rt.storage.location
    shown = [*starting, repr(rt), rt._repr_html_(), repr(rt.runtime), repr(health)]
    for text in (*shown, repr(rt.storage), caplog.text):
        assert password not in text
    # Running the cell again is the same runtime, also with the password in the URL.
    assert begin("echo", storage=url) is rt


@SERVERS
async def test_a_wrong_password_is_one_plain_error_without_it(
    server: str, begin: Start, request: pytest.FixtureRequest
):
    url, password = URLS[server](request)

    rt = begin("echo", storage=url.replace(password, WRONG))
    with pytest.raises(StorageError) as refused:
        await rt.ready()

    assert rt.storage.location in str(refused.value)
    for text in (str(refused.value), repr(rt), rt._repr_html_()):
        assert WRONG not in text
        assert password not in text
