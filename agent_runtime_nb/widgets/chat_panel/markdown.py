"""A transcript as Markdown, for whoever has no widgets.

In two forms: as it was said, for a text that somebody asked for, and harmless, for the
output of a cell, which a front end may render without asking.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from agent_runtime_nb._base.untrusted_json import as_object
from agent_runtime_nb.conversations.safe_markdown import (
    defuse,
    fenced,
    to_harmless_markdown,
)

_ENDS = {
    "cancelled": "Stopped",
    "interrupted": "Interrupted: the kernel went away",
    "failed": "Failed",
    "waiting": "Not answered yet",
    "running": "Not finished yet",
    "stopping": "Not finished yet",
}
_ANSWERS = {
    None: "was asked for",
    "once": "was given once",
    "conversation": "was given for this conversation",
    True: "was given",
    "denied": "was denied",
    False: "was denied",
}


@dataclass(frozen=True, slots=True)
class _Form:
    """How words of strangers are written: `document` may have blocks of code."""

    words: Callable[[str], str]
    document: Callable[[str], str]


def _as_it_is(text: str) -> str:
    return text


AS_SAID = _Form(_as_it_is, _as_it_is)
HARMLESS = _Form(defuse, to_harmless_markdown)


def transcript_markdown(title: str, turns: Iterable[Mapping[str, Any]]) -> str:
    """Turns as the chat panel's snapshot has them, as a document, as it was said."""
    parts = [f"**{title}**", *map(turn_markdown, turns)]
    return "\n\n".join(filter(None, parts)) + "\n"


def turn_markdown(turn: Mapping[str, Any], form: _Form = AS_SAID) -> str:
    """One turn; empty if there is nothing to read in it."""
    parts = [text for item in turn["items"] if (text := _item(item, form))]
    if end := turn_end(turn):
        parts.append(f"*{form.words(end)}*")
    return "\n\n".join(parts)


def turn_end(turn: Mapping[str, Any]) -> str:
    """How a turn ended, if it is worth a line; the words may be a stranger's."""
    ends = [_ENDS.get(turn["status"], "")]
    if (reason := as_object(turn.get("error")).get("message")) and ends[0]:
        ends[0] += f": {reason}"
    if turn.get("discarded"):
        ends.append("Discarded: the agent does not see this turn any more")
    return " · ".join(filter(None, ends))


def approval_answer(item: Mapping[str, Any]) -> str:
    """What became of an approval request, behind the call's name."""
    reason = f": {item['reason']}" if item.get("reason") else ""
    return f"{_ANSWERS.get(item['answer'], 'was asked for')}{reason}"


def _item(item: Mapping[str, Any], form: _Form) -> str:
    match item["kind"]:
        case "user":
            lines = form.words(item["text"]).splitlines() or ["(attachment)"]
            return "\n".join(f"> {line}" for line in lines)
        case "text":
            return form.document(item["text"]).strip()
        case "tool" | "approval":
            return _tool(item, form)
        case "value":
            return fenced(item["text"], "json")
        case "notice" if item["level"] != "info":
            return f"*{form.words(item['text'])}*"
        case _:  # reasoning, other notices and media are for the live view
            return ""


def _tool(item: Mapping[str, Any], form: _Form) -> str:
    if item["kind"] == "tool":
        return f"*Tool* {_call(item, form)}{_result(item, form)}"
    answer = form.words(approval_answer(item))
    return f"*Approval of* {_call(item, form)} *{answer}*"


def _call(item: Mapping[str, Any], form: _Form) -> str:
    return _code(f"{item['name']}({_short(item['arguments'])})", form)


def _result(item: Mapping[str, Any], form: _Form) -> str:
    return f" → {_code(_short(item['result']), form)}" if item["result"] else ""


def _code(text: str, form: _Form) -> str:
    """Harmless text is no code, where character references would be shown as such."""
    flat = " ".join(text.split()).replace("`", "'")
    return f"`{flat}`" if form is AS_SAID else form.words(flat)


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= 100 else flat[:99] + "…"
