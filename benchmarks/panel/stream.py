"""One stream into one notebook, watched from the page."""

import json
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Page, WebSocket

from benchmarks.measure import Figures, amount
from benchmarks.panel.cells import AGENT, OURS, PANEL, PANEL_START, TRAIT, TRAIT_START
from benchmarks.panel.lab import open_notebook
from benchmarks.panel.relay import Relay
from tests.browser.lab_page import LabPage

SENT = "sent bytes per byte"
FRAMES = "in frames"
WIRE = "on the wire"
CPU = "kernel cpu %"
FRAME = "longest frame ms"
LATENCY = "p95 to page ms"

_COUNT = 2000
_WORD = len("w00000")
_PATIENCE = 60.0

# Notes in every frame how many words are in the page, and how long frames take while
# words come in. Words are found in shadow roots too, where Panel keeps its texts.
_WATCH = """
() => {
  const seen = window.benchSeen = [];
  const frames = window.benchFrames = [];
  const holder = (root) => {
    for (const node of root.querySelectorAll("*")) {
      if (node.shadowRoot) {
        const found = holder(node.shadowRoot);
        if (found) return found;
      }
    }
    return [...root.querySelectorAll(".arn-markdown, .bench-target, .markdown, div")]
      .filter((node) => !node.closest(".jp-InputArea"))
      .find((node) => /^\\s*w00000/.test(node.textContent));
  };
  let place;
  let last;
  const look = (now) => {
    requestAnimationFrame(look);
    if (!place?.isConnected) place = holder(document);
    const text = place?.textContent.replace(/\\s/g, "") ?? "";
    const count = Math.floor(text.length / WORD);
    if (count > 0 && last !== undefined) frames.push([now, now - last]);
    if (count > (seen.at(-1)?.[0] ?? 0)) {
      seen.push([count, performance.timeOrigin + performance.now(), now]);
    }
    last = now;
  };
  requestAnimationFrame(look);
}
""".replace("WORD", str(_WORD))


@dataclass(frozen=True, slots=True)
class _Contender:
    show: str
    start: Callable[[LabPage], None]
    ready: str


class _Frames:
    """What the page's connections bring, as the page sees it.

    `sent` is what the widgets put into their messages, `received` all that came:
    Jupyter's own part of each message, and the messages about the kernel's state.
    """

    def __init__(self) -> None:
        self.received = 0
        self.sent = 0

    def watch(self, page: Page) -> None:
        """Count from now on; before the page has any connection."""
        page.on("websocket", self._on_websocket)

    def _on_websocket(self, socket: WebSocket) -> None:
        socket.on("framereceived", self._on_frame)

    def _on_frame(self, payload: str | bytes) -> None:
        text = payload.encode() if isinstance(payload, str) else payload
        self.received += len(text)
        if b'"msg_type":"comm_msg"' in text:
            self.sent += len(_content(text))


def _content(message: bytes) -> bytes:
    """The content of a message in Jupyter's binary form: parts behind their offsets."""
    count = int.from_bytes(message[:8], "little")
    offsets = struct.unpack_from(f"<{count}Q", message, 8)
    return message[offsets[4] : offsets[5]]


def _run(contender: _Contender, scale: float) -> Figures:
    agent = AGENT.format(count=amount(_COUNT, scale))
    frames = _Frames()
    cells = agent, contender.show
    with open_notebook(*cells, prepare=frames.watch) as (lab, relay):
        return _watched(contender, lab, frames, relay)


def _watched(
    contender: _Contender, lab: LabPage, traffic: _Frames, relay: Relay
) -> Figures:
    lab.run_cell(0)
    lab.run_cell(1)
    lab.page.wait_for_selector(contender.ready)
    lab.page.evaluate(_WATCH)
    before = traffic.sent, traffic.received, relay.received
    count = int(lab.execute("print(COUNT)"))
    contender.start(lab)
    lab.page.wait_for_function(f"() => window.benchSeen.at(-1)?.[0] >= {count}")
    after = traffic.sent, traffic.received, relay.received
    kernel = _figures(lab)
    seen = lab.page.evaluate("() => window.benchSeen")
    frames = lab.page.evaluate("() => window.benchFrames")
    # Behind the last word the page may rest.
    last = seen[-1][2]
    size = count * (_WORD + 1)
    return {
        SENT: (after[0] - before[0]) / size,
        FRAMES: (after[1] - before[1]) / size,
        WIRE: (after[2] - before[2]) / size,
        CPU: max(0.0, kernel["cpu"]) / kernel["seconds"] * 100,
        FRAME: max(length for at, length in frames if at <= last),
        LATENCY: _p95(kernel["yielded"], seen),
    }


def _figures(lab: LabPage) -> dict[str, Any]:
    """What the kernel noted; it ends its notes half a second behind the stream."""
    until = time.monotonic() + _PATIENCE
    # While Panel works, what is printed may go to a cell of its own.
    ask = "print(json.dumps(figures))"
    while not (figures := json.loads(lab.execute(ask) or "null")):
        if time.monotonic() > until:
            raise RuntimeError("the stream did not end")
        lab.page.wait_for_timeout(200)
    return figures


def _p95(yielded: list[float], seen: list[list[float]]) -> float:
    """Milliseconds between a token's yield and the first frame that had it."""
    delays: list[float] = []
    frame = 0
    for number, at in enumerate(yielded):
        while seen[frame][0] <= number:
            frame += 1
        delays.append(seen[frame][1] - at * 1000)
    return sorted(delays)[int(len(delays) * 0.95)]


def _type(lab: LabPage) -> None:
    lab.panel().say("go")


def _runs(code: str) -> Callable[[LabPage], None]:
    return lambda lab: lab.page.evaluate(
        """(code) => {
          const { context } = window.jupyterapp.shell.currentWidget;
          const { kernel } = context.sessionContext.session;
          kernel.requestExecute({ code, store_history: false });
        }""",
        code,
    )


def run_ours(scale: float) -> Figures:
    """The chat panel, typed into."""
    ready = "[data-testid=chat-panel][data-phase=live]"
    return _run(_Contender(OURS, _type, ready), scale)


def run_trait(scale: float) -> Figures:
    """An `ipywidgets.HTML` whose value grows."""
    start = _runs(TRAIT_START)
    return _run(_Contender(TRAIT, start, ".bench-target"), scale)


def run_panel(scale: float) -> Figures:
    """Panel's `ChatInterface`."""
    start = _runs(PANEL_START)
    return _run(_Contender(PANEL, start, "textarea.bk-input"), scale)
