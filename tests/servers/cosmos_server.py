"""A Cosmos DB emulator as a process of the tests.

It is an npm package, see `npm_package`, corrected by `cosmos_server.js`. It keeps its
data in memory.
"""

import base64
import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.servers import npm_package

PACKAGE = "@vercel/cosmosdb-server"
VERSION = "1.0.1"
SCRIPT = Path(__file__).with_suffix(".js")
FOLDER = npm_package.shared_folder(f"cosmosdb-server-{VERSION}")


class NoCosmosServer(Exception):
    """The emulator cannot be had; says why, and what to do."""


def install(folder: Path = FOLDER) -> Path:
    """The folder with the emulator, which is fetched if it is not there.

    Raises:
        NoCosmosServer: if npm fails, most often because it reaches no registry.
    """
    try:
        return npm_package.install(PACKAGE, VERSION, folder)
    except npm_package.NoPackage as error:
        raise NoCosmosServer(str(error)) from error


class CosmosServer:
    """A running emulator; a context manager.

    Attributes:
        endpoint: where it listens, https with a certificate that nobody signed.
        key: the account's key.
    """

    def __init__(self) -> None:
        self.endpoint = ""
        self.key = base64.b64encode(os.urandom(64)).decode()
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        """Start it.

        Raises:
            NoCosmosServer: if it cannot be had.
        """
        folder = install()
        node, _ = npm_package.node_command()
        self._process = subprocess.Popen(
            [node, str(SCRIPT), str(folder), self.key],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        port = self._process.stdout.readline().strip()
        if not port.isdigit():
            self.close()
            raise NoCosmosServer(f"the emulator in {folder} did not start")
        self.endpoint = f"https://127.0.0.1:{port}"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it. Twice is once."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


@pytest.fixture(scope="session")
def cosmos_server() -> Iterator[CosmosServer]:
    """One emulator for all tests; they tell their data apart by containers.

    A skip where it cannot be had, but an error in CI.
    """
    try:
        server = CosmosServer().__enter__()
    except NoCosmosServer as error:
        if os.environ.get("CI"):
            pytest.fail(f"no Cosmos DB emulator: {error}")
        pytest.skip(f"no Cosmos DB emulator: {error}")
    with contextlib.closing(server):
        yield server
