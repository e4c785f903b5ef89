"""Contenders of benchmarks: one that gives figures, and two that never do."""

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.measure import Figures


def works(_scale: float) -> Figures:
    return {"us": 1.0}


def raises(_scale: float) -> Figures:
    raise RuntimeError("no luck")


def hangs_with_a_child(_scale: float) -> Figures:
    """Writes the child's process id to the file that CHILD names."""
    waits = "import threading; threading.Event().wait()"
    child = subprocess.Popen([sys.executable, "-c", waits], start_new_session=True)
    Path(os.environ["CHILD"]).write_text(str(child.pid))
    child.wait()
    return {}
