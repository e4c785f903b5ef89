"""Markdown of strangers as HTML that does nothing.

What a model says may come from a page that it has read, and JupyterLab runs the HTML
that a Markdown output of a trusted notebook holds, scripts and all. So such text is
never shown as `text/markdown`: it becomes HTML here, where raw HTML is text, links
lead to http, https or mailto, and an image is a link to it, loaded by nobody.
"""

from collections.abc import Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

_LINKS = ("http://", "https://", "mailto:")


def to_html(text: str) -> str:
    """The text, CommonMark with tables, as HTML without anything active."""
    return _PARSER.render(text)


def _is_harmless(url: str) -> bool:
    return url.casefold().startswith(_LINKS)


class _Renderer(RendererHTML):
    def image(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        """A link with the image's words; nothing is fetched unless it is followed."""
        address = Token("link_open", "a", 1, attrs={"href": tokens[idx].attrs["src"]})
        words = self.renderInlineAsText(tokens[idx].children, options, env)
        label = Token("text", "", 0, content=f"image: {words or 'without a text'}")
        link = [address, label, Token("link_close", "a", -1)]
        return self.renderInline(link, options, env)


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}, renderer_cls=_Renderer)
    parser.enable(["table", "strikethrough"])
    parser.validateLink = _is_harmless
    return parser


_PARSER = _parser()
