"""Kernels and runtimes that end with their test."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from agent_runtime_nb.notebook import start as notebook
from agent_runtime_nb.notebook.runtime import NotebookRuntime
from agent_runtime_nb.notebook.start import start
from tests.notebook.kernels import Kernel

Start = Callable[..., NotebookRuntime]


class StartKernel(Protocol):
    def __call__(self, notebook: str = "analysis.ipynb") -> Kernel: ...


@pytest.fixture
def start_kernel(tmp_path: Path) -> Iterator[StartKernel]:
    """Starts kernels in one folder, each for a notebook of its own name."""
    kernels: list[Kernel] = []

    def start(notebook: str = "analysis.ipynb") -> Kernel:
        environment = {
            "JPY_SESSION_NAME": f"folder/{notebook}",
            "AGENT_RUNTIME_STORAGE": "",
            "IPYTHONDIR": str(tmp_path / "ipython"),
        }
        kernel = Kernel(tmp_path, environment)
        kernels.append(kernel)
        return kernel

    yield start
    for kernel in kernels:
        kernel.shut_down()


@pytest.fixture
def kernel(start_kernel: StartKernel) -> Kernel:
    """One kernel."""
    return start_kernel()


@pytest.fixture
async def begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Start]:
    """`start` on memory, in a process where nothing was started; stopped at the end."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGENT_RUNTIME_STORAGE", "memory:")
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    process = notebook._kernel
    monkeypatch.setattr(process, "runtime", None)
    yield start
    last = process.runtime
    if last is not None:
        await last.stop(drain=0.0)
