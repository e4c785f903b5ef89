"""What Jupyter says of itself passes the witness; what our widgets cause does not."""

import pytest
from playwright.sync_api import Browser

from tests.browser.complaints import is_jupyters_own
from tests.browser.windows import Witness

SERVER = "http://127.0.0.1:46575"
LAB = f"{SERVER}/static/lab/jlab_core.8811dd27.js?v=8811dd27"
NOTEBOOK = f"{SERVER}/static/notebook/notebook_core.c9a6d9df.js?v=c9a6d9df"
CANCELED = "Canceled future for debug_request message before replies were done"
SOCKET = "'ws://127.0.0.1:46575/api/kernels/0f-1a/channels?session_id=7'"

OF_JUPYTER = {
    "a restart": f"Could not restore the debugger state: {CANCELED} ({NOTEBOOK})",
    "a restart with its stack": f"Error: {CANCELED}\n    at dispose ({LAB}:9:2) ({LAB})",
    "nobody waits": f"Error: {CANCELED}\n    at dispose ({LAB}:9:2)\n    at async go",
    "a word instead of an error": f"Subshell creation failed: Error: {CANCELED}",
    "no reconnection": f"Error: Kernel connection disconnected\n    at {LAB}:9:2 ({LAB})",
    "a kernel's socket": f"WebSocket connection to {SOCKET} failed: 404 ({LAB})",
    "a request of a page that went": f"TypeError: Failed to fetch\n    at {LAB}:9:2",
    "Notebook 7": "TypeError: Cannot read properties of undefined (reading 'schema')\n"
    f"    at {NOTEBOOK}:501:207",
}

MODULE = f"blob:{SERVER}/685e2dcd-27d2"
MANAGER = f"{SERVER}/lab/extensions/@jupyter-widgets/jupyterlab-manager/static/1.js"

OF_OURS = {
    "an error in a module": f"TypeError: x is undefined\n    at draw ({MODULE}:1:69)",
    "a logged error": f"the picture is broken ({MODULE})",
    "a canceled message of ours": f"Error: {CANCELED}\n    at send ({MODULE}:1:69)",
    "Jupyter calls us": f"Error: {CANCELED}\n    at {LAB}:9:2\n    at draw ({MODULE}:1:6)",
    "a request of ours": f"TypeError: Failed to fetch\n    at ask ({MODULE}:1:16)",
    "a request of nobody": "TypeError: Failed to fetch",
    "an answer that is missing": f"Failed to load resource: 404 ({SERVER}/proxy/9/stop)",
    "no view": f"Could not create a view for model id 7 ({MANAGER})",
    "no view at a restart": f"Failed to load view: Error: {CANCELED} ({MANAGER})",
    "no comm": f"Exception opening new comm ({LAB})",
    "another socket": f"WebSocket connection to 'ws://127.0.0.1:9/x' failed ({LAB})",
    "an error of Jupyter": f"TypeError: x is undefined\n    at {LAB}:9:2",
    "an empty one": "",
}


@pytest.mark.parametrize("complaint", OF_JUPYTER.values(), ids=OF_JUPYTER)
def test_what_jupyter_complains_about_by_itself_passes(complaint: str) -> None:
    assert is_jupyters_own(complaint)


@pytest.mark.parametrize("complaint", OF_OURS.values(), ids=OF_OURS)
def test_what_we_may_have_caused_is_seen(complaint: str) -> None:
    assert not is_jupyters_own(complaint)


# What a widget's module does wrong, and a request of a foreign host.
MISTAKES = """
async () => {
  const module = `
    console.error("logged");
    Promise.reject(new Error("rejected"));
    Promise.reject("only words");
    setTimeout(() => { throw new Error("thrown"); });
    fetch("http://agents.test/").catch(() => {});
  `;
  const blob = new Blob([module], { type: "text/javascript" });
  await import(URL.createObjectURL(blob));
  await new Promise((resolve) => setTimeout(resolve, 50));
}
"""


@pytest.mark.browser
def test_a_witness_sees_every_mistake_of_a_module(browser: Browser) -> None:
    context = browser.new_context()
    witness = Witness(context)

    context.new_page().evaluate(MISTAKES)
    context.close()

    seen = "\n".join(witness.complaints)
    for mistake in ("logged", "rejected", "only words", "thrown", "ERR_NAME_NOT"):
        assert mistake in seen
    assert witness.hosts == {"agents.test"}
