"""A real Jupyter kernel, driven as a front end drives it; every wait is bounded."""

import os
import queue
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_client.manager import KernelManager

PATIENCE = 30.0


@dataclass
class Cell:
    """What became of a cell."""

    message_id: str
    text: str = ""
    display: dict[str, Any] = field(default_factory=dict[str, Any])
    status: str = ""
    error: str = ""

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()


class Kernel:
    """A kernel in a folder of its own."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._manager = KernelManager(kernel_name="python3")
        env = {**os.environ, **environment, "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
        self._manager.start_kernel(cwd=str(folder), env=env)
        self._connect()

    def _connect(self) -> None:
        self._client = self._manager.blocking_client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=60)
        self._cells: dict[str, Cell] = {}

    def send(self, code: str) -> Cell:
        """Queue a cell."""
        message_id = self._client.execute(code, allow_stdin=False, stop_on_error=False)
        cell = self._cells[message_id] = Cell(message_id)
        return cell

    def run(self, code: str) -> Cell:
        """Run a cell to its end; a failing one fails the test."""
        cell = self.finish(self.send(code))
        assert cell.status == "ok", cell.error
        return cell

    def finish(self, cell: Cell, patience: float = PATIENCE) -> Cell:
        """Wait for the end of a cell."""
        self._follow(lambda: bool(cell.status), patience, f"end of {cell}")
        return cell

    def wait_for_text(self, cell: Cell, text: str) -> None:
        """Wait until a running cell has printed something."""
        self._follow(lambda: text in cell.text, PATIENCE, f"{text!r} in {cell}")

    def interrupt(self) -> None:
        """What the Stop button of the notebook does."""
        self._manager.interrupt_kernel()

    def restart(self, *, kill: bool) -> None:
        """Restart it gracefully, or as after a crash."""
        self._client.stop_channels()
        self._manager.restart_kernel(now=kill)
        self._connect()

    def shut_down(self) -> float:
        """End it; returns the seconds that took. Twice is once."""
        if not self._manager.has_kernel:
            return 0.0
        self._client.stop_channels()
        begin = time.monotonic()
        self._manager.shutdown_kernel()
        seconds = time.monotonic() - begin
        self._manager.cleanup_resources()
        return seconds

    def _follow(self, reached: Any, patience: float, what: str) -> None:
        deadline = time.monotonic() + patience
        while not reached():
            left = deadline - time.monotonic()
            assert left > 0, f"waited {patience} s for the {what}"
            try:
                self._apply(self._client.get_iopub_msg(timeout=left))
            except queue.Empty:
                continue

    def _apply(self, message: dict[str, Any]) -> None:
        cell = self._cells.get(message["parent_header"].get("msg_id", ""))
        content = message["content"]
        if cell is None:
            return
        match message["msg_type"]:
            case "stream":
                cell.text += content["text"]
            case "execute_result" | "display_data":
                cell.display = content["data"]
            case "error":
                cell.status = "error"
                cell.error = f"{content['ename']}: {content['evalue']}"
            case "status" if content["execution_state"] == "idle":
                cell.status = cell.status or "ok"
            case _:
                pass
