"""Kernels and runtimes that end with their test."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests.notebook.kernels import Kernel


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
