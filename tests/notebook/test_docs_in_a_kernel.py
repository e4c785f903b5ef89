"""What README and docs show runs in a notebook as it stands there."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

pytestmark = pytest.mark.notebook

ROOT = Path(__file__).parent.parent.parent

# What stands before a block on its page, or is the reader's own.
_START = """
import agent_runtime_nb as arn
rt = arn.start({agents}, storage="memory:")
client = rt.client
"""
_AGENTS = """
my_agent = agent = arn.scripted_agent(name="my-agent", delay=0)
def my_function(text: str) -> str:
    return text.upper()
"""
_FRAMEWORK = """
from agent_framework import Agent
from agent_runtime_nb import AgentActor, AgentProxy
runtime, model_client = rt.runtime, client
"""


def scripted(*names: str) -> str:
    agents = [f"arn.scripted_agent(name={name!r}, delay=0)" for name in names]
    return _START.format(agents=", ".join(agents))


def blocks(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL)


def block(page: str, containing: str) -> str:
    found = [one for one in blocks(ROOT / page) if containing in one]
    assert len(found) == 1, f"{page}: {len(found)} blocks contain {containing!r}"
    return found[0]


def run(folder: Path, *cells: str) -> str:
    """Run cells in a kernel of their own, and give what they printed and returned."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in cells]
    )
    client = NotebookClient(
        notebook, timeout=60, resources={"metadata": {"path": str(folder)}}
    )
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.outputs]
    wrong = [one["text"] for one in outputs if one.get("name") == "stderr"]
    assert wrong == []
    return "\n".join(
        output.get("text") or output.get("data", {}).get("text/plain", "")
        for output in outputs
    )


@pytest.mark.timeout(120)
def test_the_readmes_cell_of_verbs_runs(tmp_path: Path) -> None:
    verbs = block("README.md", "rt.ask_sync")

    said = run(
        tmp_path, "import agent_runtime_nb as arn", _AGENTS, verbs, "print(answer.text)"
    )

    assert "Hello" in said
    assert (tmp_path / ".agent_runtime").is_dir()


@pytest.mark.timeout(120)
def test_proxies_are_used_as_their_page_shows(tmp_path: Path) -> None:
    page = "docs/agent-proxy.md"

    said = run(
        tmp_path,
        scripted("weather-agent", "writer", "critic"),
        block(page, "weather = AgentProxy"),
        _FRAMEWORK,
        block(page, "weather.as_tool").replace("Agent(client", "Agent(model_client"),
        block(page, "SequentialBuilder(participants=[AgentProxy(rt.client"),
        block(page, "def make_chain"),
        'print(await AgentProxy(client, "chain").run("Hello"))',
    )

    assert "rainy" in said.splitlines()[-1]


@pytest.mark.timeout(120)
def test_a_client_over_http_takes_the_place_of_the_one_in_the_process(
    tmp_path: Path,
) -> None:
    page = "docs/http-clients.md"
    serve = """
import os
server = rt.serve()
os.environ["AGENT_RUNTIME_TOKEN"] = server.token
"""

    said = run(
        tmp_path,
        scripted("echo", "weather-agent") + serve,
        block(page, "client = HttpActorClient").replace(
            '"http://127.0.0.1:8000"', "server.url"
        ),
        "print(response.status)",
        block(page, "ActorDashboard(client.directory)"),
        "client.close()",
    )

    assert "completed" in said


@pytest.mark.timeout(120)
def test_panels_are_reached_and_frozen_as_their_page_shows(tmp_path: Path) -> None:
    page = "docs/chat-panel.md"

    said = run(
        tmp_path,
        scripted("echo") + _AGENTS + "rt.stop()",
        block(page, 'loop="thread"'),
        "rt.stop()",
        scripted("echo"),
        block(page, 'panel = rt.chat("echo", freeze="turn")'),
        block(page, "await panel.freeze()"),
    )

    assert "Nothing was said yet" in said


@pytest.mark.timeout(120)
def test_a_storage_is_checked_as_its_page_shows(tmp_path: Path) -> None:
    page = "docs/storage-contract.md"
    path = f"import sys; sys.path.insert(0, {str(ROOT)!r})"

    said = run(
        tmp_path,
        path,
        block(page, "class TestJsonFileStorage"),
        block(page, "check_storage"),
    )

    assert "passed" in said
    assert (tmp_path / "conformance").is_dir()


def test_every_block_of_python_in_the_docs_compiles() -> None:
    pages = sorted((ROOT / "docs").glob("*.md"))
    shown = [(page.name, code) for page in pages for code in blocks(page)]

    for name, code in shown:
        flags = 0x2000  # ast.PyCF_ALLOW_TOP_LEVEL_AWAIT: as in a cell
        compile(code, name, "exec", flags=flags)
    assert len(shown) > 10
