"""Open a long conversation, load all of it, scroll through it."""

from benchmarks.measure import Figures, amount
from benchmarks.panel.lab import open_notebook
from tests.browser.lab_page import LabPage

OPEN = "open ms"
EARLIER = "slowest page ms"
FRAME = "longest frame ms"
BARE_FRAME = "longest frame of bare HTML ms"

_TURNS = 2500

_TALK = """
import agent_runtime_nb as arn

rt = arn.start(arn.EchoAgent())
text = "Some words of **Markdown**, a list and `code`:\\n\\n- one\\n- two\\n\\n"
for number in range({turns}):
    await rt.ask(f"{{text}} question {{number}}", conversation="long")
"""

_CHAT = 'rt.chat("echo", "long")'

# Milliseconds from the command until the newest answer stands in a painted page.
_OPEN = """
async (last) => {
  const begun = performance.now();
  window.jupyterapp.commands.execute("notebook:run-cell");
  for (;;) {
    await new Promise(requestAnimationFrame);
    const answers = document.querySelectorAll("[data-testid=answer]");
    if (answers[answers.length - 1]?.textContent.includes(last)) break;
  }
  await new Promise(requestAnimationFrame);
  return performance.now() - begun;
}
"""

# Press "Load earlier" until there is nothing earlier; milliseconds of the slowest page.
_LOAD = """
async () => {
  let slowest = 0;
  for (;;) {
    const button = document.querySelector("[data-testid=load-earlier]");
    if (!button) return slowest;
    const turns = () => document.querySelectorAll("[data-testid=turn]").length;
    const before = turns();
    const begun = performance.now();
    button.click();
    while (turns() === before) await new Promise(requestAnimationFrame);
    await new Promise(requestAnimationFrame);
    slowest = Math.max(slowest, performance.now() - begun);
  }
}
"""

# From the top to the bottom and back, half a screen in every frame. Loading everything
# within seconds leaves more garbage than anybody makes by pressing a button fifty times,
# so the browser gets a while to itself before.
_SCROLL = """
async () => {
  await new Promise((done) => setTimeout(done, 5000));
  const box = document.querySelector("[data-testid=transcript]");
  const step = box.clientHeight / 2;
  let longest = 0;
  let last;
  for (const direction of [-1, 1]) {
    for (;;) {
      const now = await new Promise(requestAnimationFrame);
      if (last !== undefined) longest = Math.max(longest, now - last);
      last = now;
      const before = box.scrollTop;
      box.scrollTop += direction * step;
      if (box.scrollTop === before) break;
    }
  }
  return longest;
}
"""

# The same elements in the same place, with nobody who looks after them: what the browser
# and the machine need by themselves.
_BARE = """
() => {
  const panel = document.querySelector("[data-testid=chat-panel]");
  panel.replaceWith(panel.cloneNode(true));
}
"""


def run(scale: float) -> Figures:
    """Measure."""
    turns = max(60, amount(_TURNS, scale))
    with open_notebook(_TALK.format(turns=turns), _CHAT) as (lab, _):
        lab.run_cell(0)
        lab.select_cell(1)
        return _measured(lab, turns)


def _measured(lab: LabPage, turns: int) -> Figures:
    opened = lab.page.evaluate(_OPEN, f"question {turns - 1}")
    slowest = lab.page.evaluate(_LOAD)
    found = lab.panel().turns.count()
    if found != turns:
        raise RuntimeError(f"{found} turns are shown, not {turns}")
    longest = lab.page.evaluate(_SCROLL)
    lab.page.evaluate(_BARE)
    bare = lab.page.evaluate(_SCROLL)
    return {OPEN: opened, EARLIER: slowest, FRAME: longest, BARE_FRAME: bare}
