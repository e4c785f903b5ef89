"""A transcript as Markdown, for notebooks that are read without their widgets."""

from collections.abc import Iterable, Mapping
from typing import Any

from agent_runtime_nb.widgets._json import as_object

_ENDS = {
    "cancelled": "Stopped",
    "interrupted": "Interrupted: the kernel went away",
    "failed": "Failed",
}


def transcript_markdown(title: str, turns: Iterable[Mapping[str, Any]]) -> str:
    """Turns as the chat panel's snapshot has them, as a document."""
    parts = [f"**{title}**"]
    for turn in turns:
        parts += filter(None, map(_item, turn["items"]))
        end = _ENDS.get(turn["status"])
        if end is not None:
            reason = as_object(turn.get("error")).get("message")
            parts.append(f"*{end}{': ' + reason if reason else ''}*")
    return "\n\n".join(parts) + "\n"


def _item(item: Mapping[str, Any]) -> str:
    match item["kind"]:
        case "user":
            lines = item["text"].splitlines() or ["(attachment)"]
            return "\n".join(f"> {line}" for line in lines)
        case "text":
            return item["text"].strip()
        case "tool":
            result = f" → `{_short(item['result'])}`" if item["result"] else ""
            return f"*Tool* `{item['name']}({_short(item['arguments'])})`{result}"
        case "approval":
            answers = {None: "was asked for", True: "was given", False: "was denied"}
            call = f"`{item['name']}({_short(item['arguments'])})`"
            return f"*Approval of* {call} *{answers[item['answer']]}*"
        case "value":
            return f"```json\n{item['text']}\n```"
        case _:  # reasoning, notices and media are for the live view
            return ""


def _short(text: str) -> str:
    flat = " ".join(text.split()).replace("`", "'")
    return flat if len(flat) <= 100 else flat[:99] + "…"
