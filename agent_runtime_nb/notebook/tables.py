"""Facts about something, as it shows itself in a cell and in a terminal."""

import html
from collections.abc import Iterable, Mapping, Sequence


def as_text(title: str, facts: Mapping[str, str]) -> str:
    """One line per fact, under the title."""
    width = max(map(len, facts), default=0)
    rows = (f"  {name:{width}}  {value}" for name, value in facts.items())
    return "\n".join((title, *rows))


def as_html(title: str, facts: Mapping[str, str]) -> str:
    """A table; values are text, never markup."""
    label = '<td style="text-align: left; white-space: nowrap">'
    cell = '<td style="text-align: left; overflow-wrap: anywhere">'
    rows = "".join(
        f"<tr>{label}<b>{html.escape(name)}</b></td>"
        f"{cell}<code>{html.escape(value)}</code></td></tr>"
        for name, value in facts.items()
    )
    return f"<div><b>{html.escape(title)}</b><table>{rows}</table></div>"


def as_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with a head; values are text, never markup."""
    cell = '<td style="text-align: left; overflow-wrap: anywhere">'
    head = "".join(
        f'<th style="text-align: left">{html.escape(one)}</th>' for one in heads
    )
    body = "".join(
        "<tr>" + "".join(f"{cell}{html.escape(one)}</td>" for one in row) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
