"""Untrusted Markdown as HTML or Markdown without anything active.

A model's text may come from a page that it has read, and JupyterLab runs the HTML in a
Markdown output of a trusted notebook, scripts included. So such text is never shown as
it is. `to_html` makes HTML in which raw HTML is text, links lead to http, https or
mailto, and an image is a link that is not loaded; `to_harmless_markdown` Markdown in
which nothing is HTML, a link or a formula for any renderer.
"""

import re
from collections.abc import Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

_LINKS = ("http://", "https://", "mailto:")

# What starts HTML, a fence, a link's address, the definition of one, or a formula.
# As a character reference it is the same character, and starts nothing.
_BEGINNINGS = re.compile(r"<|`{3,}|~{3,}|\](?=[(:])|\\(?=[(\[\\])|\$")
# A lenient reader takes all from here to a later "]:" for a definition, even code.
_DEFINITION = re.compile(r"^([\s>*+\-\d.)]*)\[", re.MULTILINE)
_LANGUAGE = re.compile(r"[A-Za-z0-9_+-]{1,30}(?=\s|$)")
_LINE_ENDS = re.compile(r"\r\n?")


def to_html(text: str) -> str:
    """The text, CommonMark with tables, as HTML without anything active."""
    return _PARSER.render(text)


def to_harmless_markdown(text: str) -> str:
    """The text as Markdown without anything active, also for renderers that allow HTML.

    Emphasis, headings, lists, tables and blocks of code stay; links become text.
    """
    text = _LINE_ENDS.sub("\n", text)
    lines, done, parts = text.split("\n"), 0, list[str]()
    for token in _PARSER.parse(text):
        if token.level or token.type not in ("fence", "code_block") or not token.map:
            continue
        start, end = token.map
        code = fenced(token.content, _language(token))
        parts += [defuse("\n".join(lines[done:start])), code]
        done = end
    parts.append(defuse("\n".join(lines[done:])))
    return "\n\n".join(part.strip("\n") for part in parts if part.strip())


def defuse(text: str) -> str:
    """The text escaped for Markdown outside blocks of code."""
    text = _DEFINITION.sub(r"\1&#91;", text)
    return _BEGINNINGS.sub(lambda found: _references(found[0]), text)


def fenced(code: str, language: str = "") -> str:
    """A block of code at the margin that ends nowhere in the code."""
    longest = max((len(run) for run in re.findall("`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{code.rstrip(chr(10))}\n{fence}"


def _language(token: Token) -> str:
    found = _LANGUAGE.match(token.info.strip())
    return found[0] if found else ""


def _references(characters: str) -> str:
    return "".join(f"&#{ord(character)};" for character in characters)


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
