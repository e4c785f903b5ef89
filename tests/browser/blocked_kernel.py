"""A kernel that a cell blocks, and what a person presses meanwhile."""

import logging
from collections.abc import Callable
from typing import NamedTuple

from playwright.sync_api import Locator, expect

from tests.browser.lab_page import ChatPanel, LabPage

_log = logging.getLogger(__name__)

START = """
import agent_runtime_nb as arn

def script(messages):
    return [" ".join(map(str, range(1, 1001)))]  # 50 seconds

rt = arn.start(
    arn.scripted_agent(script, name="counter", delay=0.05),
    arn.scripted_agent(delay=0),
    loop="thread",
)
"""
ON_THE_NOTEBOOKS_LOOP = START.replace('"thread"', '"notebook"')
COUNTER = 'rt.chat("counter")'
SCRIPTED = 'rt.chat("scripted")'
SERVE = "server = rt.serve()"
SLEEP = "import time\ntime.sleep(10)"
AT_ONCE = 1_000
TRIES = 3

_NOTEBOOK = "window.jupyterapp.shell.currentWidget"

# Clicks, and gives the milliseconds until something is to be seen below the panel, and
# whether the cell was still running then.
_CLICK = """
async ([root, button, seen]) => {
  const panel = root.closest("[data-testid=chat-panel]") ?? root;
  const started = performance.now();
  button.click();
  await new Promise((resolve, reject) => {
    const look = () => panel.querySelector(seen) && resolve();
    new MutationObserver(look).observe(panel, {
      attributes: true, childList: true, subtree: true,
    });
    setTimeout(() => reject(new Error(`${seen} did not appear`)), 15000);
    look();
  });
  return [performance.now() - started, window.cellRuns];
}
"""


class Press(NamedTuple):
    """What became of a click, and whether the cell still ran then."""

    milliseconds: float
    in_cell: bool


def block_the_kernel(lab: LabPage, code: str = SLEEP) -> None:
    """Begin a cell that blocks the kernel, and wait until it does."""
    lab.page.evaluate(
        f"""async (code) => {{
          const {{ kernel }} = {_NOTEBOOK}.context.sessionContext.session;
          window.cellRuns = true;
          const future = kernel.requestExecute({{ code, store_history: false }});
          future.done.catch(() => {{}}).then(() => {{ window.cellRuns = false; }});
          await new Promise((resolve) => {{
            future.onIOPub = ({{ header }}) => {{
              if (header.msg_type === "execute_input") resolve();
            }};
          }});
        }}""",
        code,
    )


def lands_at_once(lab: LabPage, press: Callable[[], Press]) -> bool:
    """Whether a press lands within a second, while the cell still blocks the kernel.

    Every try is made with a new block; more than one only where the machine was busy.
    """
    for _ in range(TRIES):
        press_took = press()
        if press_took.in_cell and press_took.milliseconds < AT_ONCE:
            return True
        lab.command("kernelmenu:interrupt")
    return False


def click(panel: ChatPanel, button: Locator, seen: str, what: str) -> Press:
    """Click, and wait until something is seen below the panel."""
    root = panel.root.element_handle()
    arguments = [root, button.element_handle(), seen]
    press = Press(*panel.root.page.evaluate(_CLICK, arguments))
    _log.info("%s: %.0f ms", what, press.milliseconds)
    return press


def stop_while_blocked(lab: LabPage, panel: ChatPanel, what: str) -> Press:
    """Let the counter begin, block the kernel and press Stop."""
    turns = panel.turns.count()
    panel.say("count")
    expect(panel.turns).to_have_count(turns + 1)
    panel.expect_words(10)
    block_the_kernel(lab)
    panel.expect_words(40)  # what the kernel sends arrives all the time
    stop = panel.root.get_by_test_id("stop")
    stopped = "[data-testid=turn]:last-of-type[data-status=cancelled]"
    return click(panel, stop, stopped, what)


def wait_for_side_channel(lab: LabPage, panel: ChatPanel, state: str) -> None:
    expect(panel.root).to_have_attribute("data-side-channel", state)
