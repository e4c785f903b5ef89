"""What is kept of a conversation: readable, bounded, and without anything active."""

import base64
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, strategies as st
from markdown_it import MarkdownIt

from agent_runtime_nb.conversations.safe_markdown import to_harmless_markdown
from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.widgets.chat_panel.frozen import (
    TranscriptCopy,
    frozen_bundle,
    one_line,
)
from agent_runtime_nb.widgets.chat_panel.frozen_html import LARGEST_IMAGE

PIXEL = "data:image/png;base64," + base64.b64encode(b"\x89PNG" * 9).decode()
HARMLESS_TAGS = {
    *("a", "blockquote", "br", "code", "del", "details", "div", "em", "h1", "h2", "h3"),
    *("h4", "h5", "h6", "hr", "img", "li", "ol", "p", "pre", "s", "small", "strong"),
    *("summary", "table", "tbody", "td", "th", "thead", "tr", "ul"),
}
HARMLESS_ATTRIBUTES = {"align", "alt", "class", "href", "src", "start", "style"}
HARMLESS_ADDRESSES = ("http://", "https://", "mailto:", "data:image/")
PAYLOADS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "[x](javascript:alert(1))",
    "![x](javascript:alert(1))",
    "[x][y]\n\n[y]: javascript:alert(1)",
    "<javascript:alert(1)>",
    "&#60;script>alert(1)</script>",
    "</div></pre></code><iframe srcdoc='x'>",
    "$\\href{javascript:alert(1)}{x}$",
    "```\n</code><script>1</script>\n```",
    '```"onmouseover=alert(1)\nx\n```',
    "- ```\n  <b onclick=1>\n```\n<i onclick=1>",
    "`<u onclick=1>`` <u onclick=1>",
    "    <s onclick=1>\n<s onclick=1>",
    "~~~\n$$\n~~~\n$$<script>1</script>",
]


class Markup(HTMLParser):
    """Notes what HTML has that does something, or loads something."""

    def __init__(self) -> None:
        super().__init__()
        self.active: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in HARMLESS_TAGS:
            self.active.append(tag)
        for name, value in attrs:
            if name not in HARMLESS_ATTRIBUTES:
                self.active.append(f"{tag} {name}")
            if name in ("href", "src") and not (value or "").startswith(
                HARMLESS_ADDRESSES
            ):
                self.active.append(f"{name}={value}")
            if tag == "img" and name == "src" and not (value or "").startswith("data:"):
                self.active.append(f"loads {value}")

    def handle_data(self, data: str) -> None:
        self.text += data


def look_into(html: str) -> Markup:
    markup = Markup()
    markup.feed(html)
    return markup


def user(text: str, *media: Any) -> dict[str, Any]:
    return {"kind": "user", "text": text, "media": list(media)}


def turn(number: int, *items: dict[str, Any], **facts: Any) -> dict[str, Any]:
    head = {"id": f"m{number}", "position": number, "status": "completed"}
    return {**head, **facts, "items": list(items)}


def words(*turns: dict[str, Any], **facts: Any) -> TranscriptCopy:
    return TranscriptCopy(ActorId("echo", "c1"), "Parrot", turns, **facts)


def bundle(*turns: dict[str, Any], **options: Any) -> dict[str, str]:
    return frozen_bundle(words(*turns), "As of noon.", **options)


def text(said: str) -> dict[str, Any]:
    return {"kind": "text", "text": said}


def test_every_form_has_who_said_what_and_how_to_go_on() -> None:
    made = bundle(turn(1, user("Hello"), text("Hi **there**")))

    assert set(made) == {"text/html", "text/markdown", "text/plain"}
    for form in made.values():
        for word in ("Parrot · c1", "As of noon.", "Hello", "Hi", "there"):
            assert word in form
    assert "<strong>there</strong>" in made["text/html"]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_nothing_that_anybody_said_becomes_active(payload: str) -> None:
    tool = {"kind": "tool", "id": "1", "name": payload, "arguments": payload}
    items = [
        user(payload, {"uri": payload, "media_type": payload}),
        text(payload),
        {"kind": "reasoning", "text": payload},
        {**tool, "result": payload, "failed": True, "denied": False},
        {**tool, "kind": "approval", "answer": "denied", "reason": payload},
        {"kind": "media", "uri": PIXEL + payload, "media_type": "image/png"},
        {"kind": "notice", "level": "error", "text": payload},
        {"kind": "value", "text": payload},
    ]
    failed = turn(1, *items, status="failed", error={"message": payload})
    hostile = TranscriptCopy(
        ActorId("echo", " ".join(payload.split())), payload, [failed], name=payload
    )

    made = frozen_bundle(hostile, "As of noon.")

    assert look_into(made["text/html"]).active == []
    rendered = MarkdownIt("gfm-like", {"html": True, "linkify": False})
    rendered.validateLink = lambda url: True
    assert look_into(rendered.render(made["text/markdown"])).active == []


@given(
    st.lists(
        st.sampled_from([*PAYLOADS, "\n", "\n\n", "  ", "- ", "> ", "```", "`", "|"])
    )
)
def test_no_mixture_of_hostile_pieces_is_active_where_html_passes(
    pieces: list[str],
) -> None:
    lenient = MarkdownIt("gfm-like", {"html": True, "linkify": False})
    lenient.validateLink = lambda url: True

    made = to_harmless_markdown("".join(pieces))

    assert look_into(lenient.render(made)).active == []


def test_no_definition_begins_before_a_block_of_code() -> None:
    made = to_harmless_markdown("> [y]\n\n```\na]: b\n```")

    assert made == "> &#91;y]\n\n```\na]: b\n```"


def test_harmless_markdown_keeps_blocks_of_code_and_emphasis() -> None:
    said = "*Look*, a < b:\n\n```python\nx = a[0] < `1`\n```\n\ndone [here](http://x)"

    made = to_harmless_markdown(said)

    html = MarkdownIt("commonmark", {"html": True}).render(made)
    assert "<em>Look</em>, a &lt; b:" in html
    assert '<pre><code class="language-python">x = a[0] &lt; `1`\n</code></pre>' in html
    assert "done [here](http://x)" in look_into(html).text


def test_an_image_of_ones_own_is_kept_and_a_large_one_is_named() -> None:
    large = PIXEL + "A" * LARGEST_IMAGE
    media = [{"uri": uri, "media_type": "image/png"} for uri in (PIXEL, large, None)]

    made = bundle(turn(1, user("Look", *media)))

    assert made["text/html"].count("<img ") == 1
    assert PIXEL in made["text/html"]
    assert made["text/html"].count("not kept") == 2
    assert "base64" not in made["text/markdown"] + made["text/plain"]


def test_of_a_long_conversation_the_newest_turns_are_kept_and_the_rest_is_counted() -> (
    None
):
    turns = [turn(n, user(f"question {n} ."), text("word " * 200)) for n in range(50)]

    made = bundle(*turns, largest=40_000)

    assert sum(map(len, made.values())) < 41_000
    assert "question 49 ." in made["text/html"]
    assert "question 1 ." not in made["text/html"]
    kept = made["text/html"].count("question")
    for form in made.values():
        assert form.count("question") == kept
        assert f"The first {50 - kept} turns are left out" in form


def test_one_turn_is_kept_however_large_it_is() -> None:
    made = bundle(turn(1, text("x" * 500)), largest=10)

    assert "x" * 500 in made["text/html"]
    assert "left out" not in made["text/html"]


@pytest.mark.parametrize(
    ("facts", "mark"),
    [
        ({"status": "cancelled"}, "Stopped"),
        ({"status": "failed", "error": {"message": "no key"}}, "Failed: no key"),
        ({"status": "interrupted"}, "Interrupted: the kernel went away"),
        ({"status": "running"}, "Not finished yet"),
        ({"status": "completed", "discarded": True}, "Discarded"),
    ],
)
def test_a_turn_that_did_not_end_well_says_so(facts: Any, mark: str) -> None:
    made = bundle(turn(1, text("half an ans"), **facts))

    for form in made.values():
        assert mark in form


def test_a_turn_that_was_tried_again_is_told_once() -> None:
    first = turn(1, user("Once"), text("first"), status="failed")
    again = turn(2, user("Once"), text("second"), retry_of="m1")

    made = bundle(first, again)

    assert "second" in made["text/plain"]
    assert "first" not in made["text/plain"]


def test_one_line_tells_which_conversation_how_long_and_what_was_said_last() -> None:
    said = words(turn(1, user("Hello"), text("Here is\na plan")))

    line = one_line(said)

    assert line == (
        'Conversation echo/c1 · 1 turn · last: "Here is a plan" '
        "(rt.chat('echo', 'c1') to open)"
    )
