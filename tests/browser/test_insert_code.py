"""Code from an answer into a new cell of the notebook."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenNotebook

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

START = """
import agent_runtime_nb as arn

def script(messages):
    return ["Try this:\\n\\n```python\\nprint(6 * 7)\\n```\\n"]

rt = arn.start(arn.scripted_agent(script, name="helper", delay=0))
"""


def test_code_goes_into_a_new_cell_below_the_panels(
    open_notebook: OpenNotebook,
) -> None:
    lab = open_notebook(START, 'rt.chat("helper")', "'the cell below'")
    lab.run("start", "chat")
    # Only tests have this; the button works without it.
    lab.page.evaluate(
        "() => { window.app = window.jupyterapp; delete window.jupyterapp; }"
    )
    panel = lab.panel()
    panel.ask("How much is it?")

    panel.last.get_by_test_id("insert-below").click()

    expect(panel.last.get_by_test_id("insert-below")).to_have_text("Inserted")
    lab.page.evaluate("() => { window.jupyterapp = window.app; }")
    sources = lab.sources()
    assert sources[1:4] == ['rt.chat("helper")', "print(6 * 7)", "'the cell below'"]
    lab.run_cell(2)
    assert lab.outputs(2)[0]["text"] == "42\n"
