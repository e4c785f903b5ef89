"""An interpreter of its own for every import."""

import json
import subprocess
import sys

from benchmarks.measure import Figures

_HEAVY = ("IPython", "anywidget", "fastapi", "openai", "ray")
_PROGRAM = """
import json, sys, time
before = len(sys.modules)
started = time.perf_counter()
{statement}
seconds = time.perf_counter() - started
loaded = set(sys.modules)
print(json.dumps({{
    "import_ms": seconds * 1e3,
    "modules": len(loaded) - before,
    "heavy": sum(name in loaded for name in {heavy}),
}}))
"""


def _measured(statement: str) -> Figures:
    program = _PROGRAM.format(statement=statement, heavy=_HEAVY)
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def ours(_: float) -> Figures:
    """The package alone."""
    return _measured("import agent_runtime_nb")


def our_runtime(_: float) -> Figures:
    """What actors without agents need."""
    names = "InProcessActorClient, InProcessActorRuntime, SqliteStateStorage"
    return _measured(f"from agent_runtime_nb import {names}")


def our_agent_actor(_: float) -> Figures:
    """What agents need; loads the agent framework."""
    return _measured("from agent_runtime_nb import AgentActor")


def autogen(_: float) -> Figures:
    """A peer."""
    return _measured("import autogen_core")


def pykka(_: float) -> Figures:
    """A peer."""
    return _measured("import pykka")
