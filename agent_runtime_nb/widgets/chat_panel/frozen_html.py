"""One turn of a transcript as HTML that needs no style sheet and no script.

Sites that show notebooks take away styles, classes and scripts; what is left must be
readable: paragraphs, quotes, bold, `pre`, tables. The few inline styles have no colour
of their own, so that light and dark pages both show them.

Every word of a person, a model or a tool goes through `escape` or `to_html`; the only
addresses besides those of `to_html` are images of one's own, checked letter by letter.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from html import escape
from typing import Any

from agent_runtime_nb._base.untrusted_json import as_list, as_object
from agent_runtime_nb.conversations.safe_markdown import to_html
from agent_runtime_nb.widgets.chat_panel.markdown import approval_answer, turn_end

LARGEST_IMAGE = 500_000
"""Characters of a data URI; a larger image is only named."""

_IMAGE = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/]+={0,2}")
_QUOTE = "margin:0;padding:0 0 0 .75em;border-left:3px solid rgba(128,128,128,.5)"
_PRE = "white-space:pre-wrap;max-height:30em;overflow:auto"


def turn_html(turn: Mapping[str, Any], agent: str) -> str:
    """A turn as the chat panel's snapshot has it.

    Args:
        turn: its items and facts.
        agent: who answers.
    """
    parts: list[str] = []
    speaker = None
    for item in turn["items"]:
        if not (shown := _item(item)):
            continue
        who = "You" if item["kind"] == "user" else agent
        if who != speaker:
            time = _time(turn) if speaker is None else ""
            parts.append(f"<p><strong>{escape(who)}</strong>{time}</p>")
            speaker = who
        parts.append(shown)
    if end := turn_end(turn):
        parts.append(f"<p><em>{_lines(end)}</em></p>")
    return "\n".join(parts)


def _time(turn: Mapping[str, Any]) -> str:
    started = turn.get("started_at")
    if not isinstance(started, int | float):
        return ""
    local = datetime.fromtimestamp(started).astimezone()
    return f" <small>{local:%Y-%m-%d %H:%M}</small>"


def _item(item: Mapping[str, Any]) -> str:
    write = _WRITERS.get(item["kind"])
    return write(item) if write else ""


def _user(item: Mapping[str, Any]) -> str:
    said = [_lines(item["text"]), *map(_media, as_list(item.get("media")))]
    words = "<br>".join(filter(None, said))
    return f'<blockquote style="{_QUOTE}"><p>{words}</p></blockquote>'


def _text(item: Mapping[str, Any]) -> str:
    return to_html(item["text"]).strip()


def _reasoning(item: Mapping[str, Any]) -> str:
    return _folded("Reasoning", _text(item))


def _approval(item: Mapping[str, Any]) -> str:
    answer = escape(approval_answer(item))
    title = f"Approval of <code>{escape(item['name'])}</code> {answer}"
    return _folded(title, _pre(item["arguments"]))


def _image(item: Mapping[str, Any]) -> str:
    return f"<p>{_media(item)}</p>"


def _notice(item: Mapping[str, Any]) -> str:
    return "" if item["level"] == "info" else f"<p><em>{_lines(item['text'])}</em></p>"


def _value(item: Mapping[str, Any]) -> str:
    return _pre(item["text"])


def _tool(item: Mapping[str, Any]) -> str:
    if item.get("denied"):
        outcome = "denied"
    elif item.get("failed"):
        outcome = "failed"
    else:
        outcome = "not finished" if item["result"] is None else "done"
    title = f"Tool <code>{escape(item['name'])}</code> · {outcome}"
    images = [
        _media(rich) for rich in map(_as_media, as_list(item.get("rich"))) if rich
    ]
    body = [_pre(item["arguments"]), _pre(item["result"] or ""), *images]
    return _folded(title, "\n".join(filter(None, body)))


def _as_media(rich: Any) -> dict[str, Any] | None:
    """A rich result, if it is an image; others have their text as well."""
    result = as_object(rich)
    media_type = str(result.get("media_type") or "")
    if not media_type.startswith("image/"):
        return None
    return {"uri": result.get("data"), "media_type": media_type}


def _media(item: Any) -> str:
    """An image of one's own; what lies elsewhere or is too large is only named."""
    media = as_object(item)
    uri, media_type = media.get("uri"), escape(str(media.get("media_type") or "file"))
    if not isinstance(uri, str) or not uri:
        return f"<em>({media_type}, not kept)</em>"
    if uri.startswith(("https://", "http://")):
        return f'<a href="{escape(uri)}">({media_type})</a>'
    if len(uri) > LARGEST_IMAGE or not _IMAGE.fullmatch(uri):
        return f"<em>({media_type}, not kept: too large or of another kind)</em>"
    style = "max-width:100%;max-height:24em"
    return f'<img src="{uri}" alt="{media_type}" style="{style}">'


def _folded(title: str, body: str) -> str:
    inside = f'<blockquote style="{_QUOTE}">\n{body}\n</blockquote>'
    return f"<details><summary>{title}</summary>\n{inside}\n</details>"


def _pre(text: str) -> str:
    code = f"<code>{escape(text)}</code>"
    return f'<pre style="{_PRE}">{code}</pre>' if text else ""


def _lines(text: str) -> str:
    """TranscriptCopy with their line ends and indents."""
    lines = escape(text.strip("\n")).splitlines()
    return "<br>\n".join(line.replace("  ", "&nbsp; ") for line in lines)


_WRITERS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "user": _user,
    "text": _text,
    "reasoning": _reasoning,
    "tool": _tool,
    "approval": _approval,
    "media": _image,
    "notice": _notice,
    "value": _value,
}
