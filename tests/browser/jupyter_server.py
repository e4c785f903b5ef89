"""A real JupyterLab for the browser tests, in a process of its own."""

import contextlib
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import Future
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

STARTING = 60.0

FrontEnd: TypeAlias = Literal["lab", "notebook"]
"""JupyterLab or Notebook 7; one server has both."""

_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/")

# Nothing asks the outside world for news, updates or extensions.
_SETTINGS = {
    "apputils-extension/notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
    # Saving is up to the tests.
    "docmanager-extension/plugin": {"autosave": False},
}


class JupyterServer:
    """JupyterLab on a free loopback port; all its files are in one folder.

    Args:
        folder: empty; notebooks belong into its `root`.
        config: a folder with settings of the server, none of its own.
    """

    def __init__(self, folder: Path, config: Path | None = None) -> None:
        self.root = folder / "root"
        self._token = secrets.token_hex(16)
        self._lines: list[str] = []
        self._url: Future[str] = Future()
        self._process = self._start(folder, config)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.url = self._url.result(STARTING)
            self._wait_until_it_listens()  # it tells its address a little before
        except BaseException:
            self.stop()
            raise

    def _start(self, folder: Path, config: Path | None) -> "subprocess.Popen[str]":
        folders = {
            "IPYTHONDIR": folder / "ipython",
            "JUPYTER_CONFIG_DIR": folder / "config",
            "JUPYTER_DATA_DIR": folder / "data",
            "JUPYTER_RUNTIME_DIR": folder / "runtime",
            "JUPYTERLAB_SETTINGS_DIR": folder / "settings",
            "JUPYTERLAB_WORKSPACES_DIR": folder / "workspaces",
        }
        for path in (self.root, *folders.values()):
            path.mkdir(parents=True)
        write_settings(folder / "settings")
        options = {
            "ServerApp.ip": "127.0.0.1",
            "ServerApp.port": free_port(),
            "ServerApp.root_dir": self.root,
            "ServerApp.open_browser": False,
            "ServerApp.allow_root": True,
            "IdentityProvider.token": self._token,
            "LabApp.expose_app_in_browser": True,
            "JupyterNotebookApp.expose_app_in_browser": True,
            "LabApp.extension_manager": "readonly",
            "LabApp.news_url": None,
            # How soon a dead kernel is noticed, in seconds.
            "KernelRestarter.time_to_dead": 0.5,
        }
        environment = {
            **os.environ,
            **{name: str(path) for name, path in folders.items()},
            "JUPYTER_CONFIG_PATH": str(config or ""),
            "AGENT_RUNTIME_STORAGE": "",
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        }
        arguments = [f"--{name}={value}" for name, value in options.items()]
        return subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *arguments],
            cwd=self.root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def _wait_until_it_listens(self) -> None:
        url = urlsplit(self.url)
        until = time.monotonic() + STARTING
        while time.monotonic() < until:
            with contextlib.suppress(ConnectionRefusedError):
                socket.create_connection((url.hostname, url.port)).close()
                return
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.02)
                break
        raise RuntimeError(f"JupyterLab does not listen:\n{self.log}")

    def _read(self) -> None:
        """Keep what it says; the first address among it is its own."""
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for line in output:
                self._lines.append(line)
                found = _ADDRESS.search(line)
                if found and not self._url.done():
                    self._url.set_result(found[0])
        if not self._url.done():
            self._url.set_exception(RuntimeError(f"JupyterLab ended:\n{self.log}"))

    @property
    def log(self) -> str:
        """What it and its kernels have said."""
        return "".join(self._lines)

    def address(self, notebook: str, front_end: FrontEnd = "lab") -> str:
        """Where a browser finds a notebook; in a workspace that is always empty."""
        page = "lab/tree" if front_end == "lab" else "notebooks"
        return f"{self.url}{page}/{notebook}?token={self._token}&reset"

    def end_kernels(self) -> None:
        """End all kernels and forget all sessions."""
        for session in json.loads(self._request("api/sessions")):
            self._request(f"api/sessions/{session['id']}", "DELETE")

    def _request(self, path: str, method: str = "GET") -> bytes:
        request = urllib.request.Request(  # noqa: S310 - always http, to loopback
            self.url + path,
            method=method,
            headers={"Authorization": f"token {self._token}"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return answer.read()

    def stop(self) -> None:
        """End it with its kernels."""
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(15)
        self._reader.join(15)


def write_settings(folder: Path) -> None:
    """Give JupyterLab a person's settings."""
    for plugin, settings in _SETTINGS.items():
        path = folder / "@jupyterlab" / f"{plugin}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(settings))


def free_port() -> int:
    """A port that nobody listens on; the server takes another one if it is taken."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
