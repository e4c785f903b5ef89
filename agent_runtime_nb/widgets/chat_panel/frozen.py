"""A conversation as it is kept in a notebook: readable without a kernel or a widget.

One output with three forms, of which every reader finds one that it can show: HTML for
sites and converters, Markdown, and plain text. They hold what was said and nothing
about where it was said: no addresses, tokens or paths of this machine.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from html import escape
from typing import Any

from agent_runtime_nb.conversations.safe_markdown import defuse
from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.runtime_directory import ActorView, RuntimeDirectory
from agent_runtime_nb.widgets.chat_panel.frozen_html import turn_html
from agent_runtime_nb.widgets.chat_panel.markdown import HARMLESS, turn_markdown
from agent_runtime_nb.widgets.chat_panel.transcript import Transcript

LARGEST = 2_000_000
"""Characters of all three forms together."""

_PAGE = 200
_LAST_WORDS = 60

Turn = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TranscriptCopy:
    """What is kept of a conversation.

    Attributes:
        actor_id: the conversation.
        title: who answers.
        turns: as the chat panel's snapshot has them, oldest first.
        more: whether there are older ones.
        name: what people call the conversation.
        known: whether the turns are known; else nothing is said about them.
    """

    actor_id: ActorId
    title: str
    turns: Sequence[Turn]
    more: bool = False
    name: str | None = None
    known: bool = True

    @property
    def heading(self) -> str:
        """Who answers, and in which conversation."""
        return f"{self.title} · {self.name or self.actor_id.instance_id}"


async def read_transcript(
    directory: RuntimeDirectory,
    actor_id: ActorId,
    title: str,
    *,
    largest: int = LARGEST,
    page: int = _PAGE,
) -> TranscriptCopy:
    """A conversation's turns, also those that run and wait; the newest of a long one.

    Args:
        directory: to read it, in steps of `page` turns.
        actor_id: the conversation.
        title: who answers.
        largest: after about so many characters no older page is read.
        page: turns.

    Raises:
        AgentRuntimeError: what the directory raises.
    """
    newest = view = await directory.read_actor(actor_id, limit=page)
    turns, size = list(view.turns), _size(view)
    while view.more and view.turns and size < largest:
        before = view.turns[0].position
        view = await directory.read_actor(actor_id, before=before, limit=page)
        turns, size = [*view.turns, *turns], size + _size(view)
    whole = ActorView(
        actor_id=actor_id,
        turns=tuple(turns),
        running=newest.running,
        waiting=newest.waiting,
        cursor=newest.cursor,
        more=view.more,
        info=newest.info,
    )
    transcript = Transcript(keep=len(turns))
    transcript.load(whole)
    picture = transcript.to_json()
    name = newest.info.name if newest.info else None
    return TranscriptCopy(actor_id, title, picture["turns"], picture["more"], name)


def _size(view: ActorView) -> int:
    """About how many characters were said in a page."""
    return sum(len(str(turn.entries)) for turn in view.turns)


def one_line(words: TranscriptCopy) -> str:
    """What a reader without widgets should know in one line: which, how long, what."""
    facts = [f"Conversation {words.actor_id}"]
    count = len(words.turns)
    if words.more:
        facts.append(f"more than {count:,} turns")
    elif words.known:
        facts.append("no turns yet" if not count else _turns(count))
    if last := _last_said(words.turns):
        facts.append(f'last: "{last}"')
    where = f"rt.chat({words.actor_id.type_name!r}, {words.actor_id.instance_id!r})"
    return f"{' · '.join(facts)} ({where} to open)"


def _last_said(turns: Sequence[Turn]) -> str:
    for turn in reversed(turns):
        for item in reversed(turn["items"]):
            if item["kind"] in ("text", "user") and (flat := item["text"].split()):
                text = " ".join(flat)
                long = len(text) > _LAST_WORDS
                return f"{text[: _LAST_WORDS - 1]}…" if long else text
    return ""


@dataclass(frozen=True, slots=True)
class Forms:
    """A turn in the three forms."""

    html: str
    markdown: str
    plain: str

    def __len__(self) -> int:
        return len(self.html) + len(self.markdown) + len(self.plain)


class TranscriptWriter:
    """Writes turns, and remembers how: most are the same the next time.

    Not for two threads at once, though nothing worse happens than work done twice.
    """

    def __init__(self) -> None:
        self._written: dict[bytes, Forms] = {}

    def write(
        self, turns: Sequence[Turn], agent: str, largest: int
    ) -> tuple[list[Forms], int]:
        """The newest turns that fit, at least one, and how many are left out."""
        written: dict[bytes, Forms] = {}
        size = 0
        for turn in reversed(turns):
            key = blake2b(f"{agent}\n{turn}".encode(errors="replace")).digest()
            forms = self._written.get(key) or _forms(turn, agent)
            size += len(forms)
            if size > largest and written:
                break
            written[key] = forms
        self._written = written
        return [*written.values()][::-1], len(turns) - len(written)


def frozen_bundle(
    words: TranscriptCopy,
    note: str,
    *,
    mark: str = "",
    largest: int = LARGEST,
    writer: TranscriptWriter | None = None,
) -> dict[str, str]:
    """The conversation as an output's data, by media type.

    Args:
        words: what is kept.
        note: one sentence on what this is and how to go on.
        mark: a class of the HTML's outermost element.
        largest: characters of all three forms together, about; of a longer
            conversation the newest turns are kept, at least one of them.
        writer: which wrote earlier turns of the conversation.
    """
    writer = TranscriptWriter() if writer is None else writer
    kept, left_out = writer.write(_shown(words), words.title, largest)
    if words.more:
        note += " The earlier turns are left out, for the conversation is long."
    elif left_out:
        turns = _turns(left_out)
        note += f" The first {turns} are left out, for the conversation is long."
    if words.known and not kept:
        note += " Nothing was said yet."
    heading = words.heading
    return {
        "text/html": _html(heading, note, [forms.html for forms in kept], mark),
        "text/markdown": _document(
            f"**{_flat(defuse(heading))}**",
            defuse(note),
            [forms.markdown for forms in kept],
        ),
        "text/plain": _document(_flat(heading), note, [forms.plain for forms in kept]),
    }


def frozen_at() -> str:
    """The time, for people, by the kernel's clock."""
    return f"{datetime.now().astimezone():%Y-%m-%d %H:%M}"


def _shown(words: TranscriptCopy) -> list[Turn]:
    """All turns but those that were tried again: the later try tells the same."""
    tried_again = {turn.get("retry_of") for turn in words.turns}
    return [turn for turn in words.turns if turn["id"] not in tried_again]


def _forms(turn: Turn, agent: str) -> Forms:
    return Forms(
        turn_html(turn, agent), turn_markdown(turn, HARMLESS), turn_markdown(turn)
    )


def _html(heading: str, note: str, turns: Sequence[str], mark: str) -> str:
    # A dollar is a dollar: pages that typeset formulas leave these classes alone.
    classes = " ".join(filter(None, ["tex2jax_ignore mathjax_ignore", mark]))
    return "\n".join(
        [
            f'<div class="{escape(classes)}">',
            f"<p><strong>{escape(heading)}</strong><br>",
            f"<em>{escape(note)}</em></p>",
            *("<hr>\n" + turn for turn in turns),
            "</div>",
        ]
    )


def _document(heading: str, note: str, turns: Sequence[str]) -> str:
    return "\n\n".join([heading, f"*{note}*", *filter(None, turns)]) + "\n"


def _flat(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def _turns(count: int) -> str:
    return f"{count:,} turn{'' if count == 1 else 's'}"
