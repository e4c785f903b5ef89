"""Markdown of strangers: it is formatted, and nothing in it is active."""

import pytest

from agent_runtime_nb.conversations.safe_markdown import to_html


def test_markdown_is_formatted() -> None:
    html = to_html("**a** `<b>`\n\n| x | y |\n|---|---|\n| 1 | ~~2~~ |\n")

    assert "<strong>a</strong> <code>&lt;b&gt;</code>" in html
    assert "<td><s>2</s></td>" in html


@pytest.mark.parametrize(
    "text",
    [
        '<img src="x" onerror="take()">',
        "<script>take()</script>",
        "a <b onclick=take()>b</b>",
        '[a]: /u "x\n```\ny"\n<img src=x onerror=take()>\n```',
        "<!-- --><svg onload=take()>",
    ],
)
def test_raw_html_is_shown_as_text(text: str) -> None:
    html = to_html(text)

    assert "&lt;" in html
    for tag in ("<img", "<script", "<b ", "<svg", "<!--"):
        assert tag not in html


@pytest.mark.parametrize(
    "address",
    [
        "javascript:x",
        "JAVA&#115;cript:x",
        "data:text/html,x",
        "file:///x",
        "//x.y",
        "x",
    ],
)
def test_a_link_leads_to_the_web_or_to_mail(address: str) -> None:
    assert "<a" not in to_html(f"[x]({address}) <{address}>")
    assert '<a href="https://x.y">' in to_html("[x](https://x.y)")
    assert '<a href="mailto:a@b.c">' in to_html("<a@b.c>")


def test_an_image_is_a_link_that_nobody_follows() -> None:
    html = to_html('![a "chart"](https://x.y/z.png) ![b](data:image/png;base64,AA)')

    assert "<img" not in html
    assert '<a href="https://x.y/z.png">image: a &quot;chart&quot;</a>' in html
