"""What strangers say acts nowhere: not in the panel, not in a frozen transcript.

The payloads go through the bundle that a notebook gets, in a page with a fake kernel
(hostile_page.js), and through the forms that are kept in a notebook.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from playwright.sync_api import Browser, Dialog, Page, Request

from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.widgets.chat_panel.frozen import TranscriptCopy, frozen_bundle
from tests.browser.hostile_markup import PAYLOADS
from tools.frontend import STATIC

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

ORIGIN = "http://localhost/"
MODULES = ("highlight", "maths", "sanitise")
SCRIPT = Path(__file__).with_name("hostile_page.js")
# Steps of a stream; the rest of a longer payload comes at once.
STEPS = 110
PAGE = """<!doctype html><meta charset=utf-8><link rel=icon href="data:,">
<body data-jp-theme-light=true style="margin-right:60px">
<div id=beside style="position:fixed;right:0;bottom:0;width:40px;height:40px"></div>
"""
LOAD = """async ([harness, panel, modules]) => {
  const blob = new Blob([harness], { type: "text/javascript" });
  window.harness = await import(URL.createObjectURL(blob));
  await window.harness.load(panel, modules);
}"""


class HostilePage:
    """A page with the panel's bundle, and what happened in it that must not."""

    def __init__(self, page: Page) -> None:
        self.happened: list[str] = []
        self._page = page
        page.route("**/*", lambda route: route.abort())
        page.route(
            ORIGIN, lambda route: route.fulfill(body=PAGE, content_type="text/html")
        )
        page.goto(ORIGIN)
        page.on("dialog", self._on_dialog)
        page.on("request", self._on_request)
        page.on("popup", lambda popup: self.happened.append(f"window {popup.url}"))
        page.on("pageerror", lambda error: self.happened.append(f"error {error}"))
        page.add_style_tag(content=_built("chat_panel.css"))
        modules = {name: _built(f"modules/{name}.js") for name in MODULES}
        harness = SCRIPT.read_text("utf-8")
        page.evaluate(LOAD, [harness, _built("chat_panel.js"), modules])

    def show(self, how: str, *arguments: Any) -> dict[str, Any]:
        """What a function of the harness reports."""
        call = "([how, parts]) => window.harness[how](...parts)"
        return self._page.evaluate(call, [how, list(arguments)])

    def _on_dialog(self, dialog: Dialog) -> None:
        self.happened.append(f"dialog {dialog.message}")
        dialog.dismiss()

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith(("blob:", "data:")):
            self.happened.append(f"request {request.url}")


def _built(name: str) -> str:
    return (STATIC / name).read_text("utf-8")


@pytest.fixture
def hostile_page(browser: Browser) -> Iterator[HostilePage]:
    context = browser.new_context(viewport={"width": 900, "height": 700})
    yield HostilePage(context.new_page())
    context.close()


def frozen(payload: str) -> dict[str, str]:
    """The forms of a conversation that says the payload wherever it can be said."""
    call = {"id": "1", "name": payload, "arguments": payload}
    media = {"uri": payload, "media_type": payload}
    items: list[dict[str, Any]] = [
        {"kind": "user", "text": payload, "media": [media]},
        {"kind": "text", "text": payload},
        {"kind": "reasoning", "text": payload},
        {"kind": "tool", **call, "result": payload, "failed": True, "denied": False},
        {"kind": "approval", **call, "answer": "denied", "reason": payload},
        {"kind": "media", "uri": payload, "media_type": "image/png"},
        {"kind": "notice", "level": "error", "text": payload},
        {"kind": "value", "text": payload},
    ]
    head = {"id": "m1", "position": 1, "status": "failed"}
    turn = {**head, "items": items, "error": {"message": payload}}
    words = TranscriptCopy(ActorId("agent", "main"), payload, [turn], name=payload)
    return frozen_bundle(words, payload)


def test_no_payload_acts_in_a_finished_turn(hostile_page: HostilePage) -> None:
    report = hostile_page.show("showFinished", PAYLOADS)

    assert report["problems"] == []
    assert hostile_page.happened == []
    # All of them were there, and the lazy modules had their part in it.
    drew = report["drew"]
    assert drew["turns"] == len(PAYLOADS) + 1
    assert drew["markup"] > len(PAYLOADS)
    assert drew["maths"] > 10
    assert drew["colours"] > 0


@pytest.mark.parametrize("size", [1, 3])
def test_no_payload_acts_while_it_streams_in(
    hostile_page: HostilePage, size: int
) -> None:
    report = hostile_page.show("showStreamed", PAYLOADS, size, STEPS)

    assert report["problems"] == []
    assert hostile_page.happened == []
    assert report["seen"] == len(PAYLOADS) + 1


def test_no_payload_acts_as_a_name_or_a_message_of_the_panel(
    hostile_page: HostilePage,
) -> None:
    report = hostile_page.show("showAround", PAYLOADS)

    assert report["problems"] == []
    assert hostile_page.happened == []
    assert report["seen"] > 10 * len(PAYLOADS)


def test_no_payload_acts_in_a_frozen_transcript(hostile_page: HostilePage) -> None:
    forms = {name: frozen(text)["text/html"] for name, text in PAYLOADS.items()}

    report = hostile_page.show("showMarkup", forms)

    assert report["problems"] == []
    assert hostile_page.happened == []
    assert report["seen"] > 10 * len(PAYLOADS)


def test_no_payload_acts_in_frozen_markdown_where_html_passes(
    hostile_page: HostilePage,
) -> None:
    lenient = MarkdownIt("gfm-like", {"html": True, "linkify": False})
    lenient.validateLink = lambda url: True
    kept = {name: frozen(text)["text/markdown"] for name, text in PAYLOADS.items()}

    report = hostile_page.show(
        "showMarkup", {name: lenient.render(text) for name, text in kept.items()}
    )

    assert report["problems"] == []
    assert hostile_page.happened == []
    assert report["seen"] > 10 * len(PAYLOADS)
