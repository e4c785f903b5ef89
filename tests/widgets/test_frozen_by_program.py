"""A notebook that a program runs, with nobody at it, keeps what was said as well."""

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

pytestmark = [pytest.mark.notebook, pytest.mark.timeout(120)]

START = """
import agent_runtime_nb as arn
rt = arn.start(arn.EchoAgent(), storage="memory:", loop={loop!r})
"""
SHOW = "panel = rt.chat('echo', freeze={freeze!r})\npanel"
ASK = "await rt.ask('echo', 'Hi there')"


def run(folder: Path, *cells: str) -> list[Any]:
    """Run a notebook; the outputs of each cell."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in cells]
    )
    place = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=60, resources=place).execute()
    return [cell.outputs for cell in notebook.cells]


@pytest.mark.parametrize("loop", ["notebook", "thread"])
def test_awaiting_freeze_in_a_later_cell_changes_the_panels_output(
    tmp_path: Path, loop: str
) -> None:
    cells = START.format(loop=loop), SHOW.format(freeze="never"), ASK

    _, (output,), _, _ = run(tmp_path, *cells, "await panel.freeze()")

    assert set(output.data) == {"text/html", "text/markdown", "text/plain"}
    assert "<p>Echo: Hi there</p>" in output.data["text/html"]


def test_the_copy_is_written_while_a_later_cell_runs(tmp_path: Path) -> None:
    cells = START.format(loop="notebook"), SHOW.format(freeze="turn"), ASK
    wait = (
        "import asyncio\n"
        "async with asyncio.timeout(20):\n"
        "    while not panel._saved or 'Hi' not in str(panel._saved):\n"
        "        await asyncio.sleep(0.05)\n"
    )

    _, (live, copy), _, _ = run(tmp_path, *cells, wait)

    assert set(live.data) == {
        "application/vnd.jupyter.widget-view+json",
        "text/plain",
    }
    assert "<p>Echo: Hi there</p>" in copy.data["text/html"]
