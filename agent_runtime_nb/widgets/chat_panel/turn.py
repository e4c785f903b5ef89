"""One turn as the chat panel shows it: a list of items, made from framework contents.

The same fold makes the items from what streams in and from what is stored, so a
conversation looks the same before and after a reload. An item is a JSON object with
a `kind`:

    user       text, media                        what the person wrote
    text       text                               the answer, Markdown
    reasoning  text, duration (null while it grows)
    tool       id, name, arguments, result (null while it runs), rich, failed, denied,
               started_at, duration (null while it runs)
    approval   id, name, arguments, answer (null until somebody answered, then "once",
               "conversation" or "denied"), reason (null if none was given)
    media      uri (null if it is not shown), media_type
    notice     level ("info", "warning", "error"), text
    value      text (JSON), of actors that are no agents

Times are POSIX seconds, durations seconds. They are known of what streamed in while it
was followed; of what was read from the store they are null.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from agent_runtime_nb._base.untrusted_json import as_list, as_object
from agent_runtime_nb.widgets.channel import Change
from agent_runtime_nb.widgets.chat_panel.contents import (
    Decision,
    Item,
    as_text,
    media_item,
    rich_results,
)

Emit: TypeAlias = Callable[[Change], None]
Clock: TypeAlias = Callable[[], float | None]


def no_clock() -> None:
    """For what is read from the store: nobody has taken its times."""


class ShownTurn:
    """The items of a turn and what is known about it.

    Args:
        message_id: the request's id.
        position: the turn's index in the conversation.
        calls: what is known of the conversation's tool calls that asked for approval,
            by call id; they are made in one turn and answered in a later one.
        clock: POSIX seconds, for what streams in.

    The methods that change a turn give each change to `emit`.
    """

    def __init__(
        self,
        message_id: str,
        position: int,
        calls: dict[str, Mapping[str, Any]],
        clock: Clock = no_clock,
    ) -> None:
        self.message_id = message_id
        self.position = position
        self.items: list[Item] = []
        self.facts: dict[str, Any] = {"status": "waiting", "stop": None}
        self.began = False
        self._calls = calls
        self._clock = clock
        self._thinks_since: float | None = None
        self.requests: dict[str, Mapping[str, Any]] = {}
        self._indices: dict[str, int] = {}
        self._text_of: object = None

    def to_json(self) -> dict[str, Any]:
        """The turn for the front end; shares nothing that is changed later."""
        items = [dict(item) for item in self.items]
        return {
            "id": self.message_id,
            "position": self.position,
            **self.facts,
            "items": items,
        }

    @property
    def open_approvals(self) -> list[Item]:
        """The approval requests that nobody has answered."""
        return [
            item
            for item in self.items
            if item["kind"] == "approval" and item["answer"] is None
        ]

    def add_entry(self, entry: Mapping[str, Any], emit: Emit) -> None:
        """Show one message of the conversation."""
        contents: object = entry.get("contents", entry.get("content", ""))
        if isinstance(contents, str):
            contents = [{"type": "text", "text": contents}]
        parts = [as_object(part) for part in as_list(contents)]
        if entry.get("role") == "user":
            self._add_user(parts, emit)
        else:
            self.add_contents(parts, entry.get("message_id"), emit)

    def add_progress(self, progress: Any, emit: Emit) -> None:
        """Show one update of a running turn."""
        update = as_object(progress)
        if isinstance(update.get("contents"), list):
            parts = [as_object(part) for part in update["contents"]]
            self.add_contents(parts, update.get("message_id"), emit)
        elif update.get("type") == "notice":
            self.add_notice(update.get("level", "info"), update.get("text", ""), emit)
        else:
            self.add_value(progress, emit)

    def add_contents(
        self, parts: Iterable[Mapping[str, Any]], message_id: object, emit: Emit
    ) -> None:
        """Show parts of an assistant's or a tool's message, in order."""
        for part in parts:
            self._add_content(part, message_id, emit)

    def _add_content(
        self, part: Mapping[str, Any], message_id: object, emit: Emit
    ) -> None:
        match part.get("type"):
            case "text":
                self._add_text("text", part, message_id, emit)
            case "text_reasoning":
                self._add_text("reasoning", part, message_id, emit)
            case "function_call":
                self._add_call(part, emit)
            case "function_result":
                self._add_result(part, emit)
            case "function_approval_request":
                self._add_approval(part, emit)
            case "data" | "uri":
                self._append(media_item(part), emit)
            case "error":
                self.add_notice("error", part.get("message") or "error", emit)
            case "usage":
                self._add_usage(part, emit)
            case _:  # parts that a person need not see
                pass

    def add_notice(self, level: str, text: str, emit: Emit) -> None:
        """Show a line that is no part of the conversation."""
        self._append({"kind": "notice", "level": level, "text": str(text)}, emit)

    def add_value(self, value: Any, emit: Emit) -> None:
        """Show any JSON value."""
        self._append({"kind": "value", "text": as_text(value)}, emit)

    def answer(
        self,
        request_id: str,
        decision: Decision | None,
        reason: str | None,
        emit: Emit,
    ) -> bool:
        """Mark an approval request; returns whether it is in this turn."""
        index = self._indices.get(f"approval:{request_id}")
        if index is None:
            return False
        marked = {**self.items[index], "answer": decision, "reason": reason}
        self._replace(index, marked, emit)
        call = as_object(self.requests[request_id].get("function_call"))
        known = self._calls.get(str(call.get("call_id") or ""), {})
        known = {**known, "denied": decision == "denied"}
        self._calls[str(call.get("call_id") or "")] = known
        return True

    def finish(self, emit: Emit) -> None:
        """Nothing more streams in."""
        self._end_reasoning(emit)

    def take_times(self, streamed: "ShownTurn") -> None:
        """Take the times of what streamed in over to the same items of this turn."""
        times = {one["id"]: one for one in streamed.items if one["kind"] == "tool"}
        thoughts = [one for one in streamed.items if one["kind"] == "reasoning"]
        for item in self.items:
            same = None
            if item["kind"] == "tool":
                same = times.get(item["id"])
            elif item["kind"] == "reasoning" and thoughts:
                same = thoughts.pop(0)
            for key in ("started_at", "duration"):
                if same is not None and key in item:
                    item[key] = same[key]

    def _add_user(self, parts: Iterable[Mapping[str, Any]], emit: Emit) -> None:
        texts: list[str] = []
        media: list[Item] = []
        for part in parts:
            if part.get("type") == "text":
                texts.append(str(part.get("text") or ""))
            elif part.get("type") in ("data", "uri", "hosted_file"):
                media.append(media_item(part))
        if texts or media:
            item = {"kind": "user", "text": "\n".join(texts), "media": media}
            self._append(item, emit)

    def _add_text(
        self, kind: str, part: Mapping[str, Any], message_id: object, emit: Emit
    ) -> None:
        text = str(part.get("text") or "")
        if not text:
            return
        same = self.items and self.items[-1]["kind"] == kind
        if same and self._text_of == message_id:
            self._extend(len(self.items) - 1, "text", text, emit)
        elif kind == "reasoning":
            self._append({"kind": kind, "text": text, "duration": None}, emit)
            self._thinks_since = self._clock()
        else:
            self._append({"kind": kind, "text": text}, emit)
        self._text_of = message_id

    def _end_reasoning(self, emit: Emit) -> None:
        since, self._thinks_since = self._thinks_since, None
        now = self._clock()
        if since is None or now is None:
            return
        index = len(self.items) - 1
        ended = {**self.items[index], "duration": max(0.0, now - since)}
        self._replace(index, ended, emit)

    def _add_call(self, part: Mapping[str, Any], emit: Emit) -> None:
        call_id = str(part.get("call_id") or "")
        arguments = as_text(part.get("arguments"))
        index = self._indices.get(f"call:{call_id}")
        if index is not None:  # arguments arrive in fragments
            if self.items[index]["kind"] == "tool":
                self._extend(index, "arguments", arguments, emit)
            return
        self._append_tool(call_id, str(part.get("name") or "tool"), arguments, emit)

    def _add_result(self, part: Mapping[str, Any], emit: Emit) -> None:
        call_id = str(part.get("call_id") or "")
        index = self._indices.get(f"call:{call_id}")
        call = self._calls.get(call_id, {})
        if index is None or self.items[index]["kind"] != "tool":
            # The call was made in the turn that asked for its approval.
            name, arguments = call.get("name", "tool"), call.get("arguments", "")
            index = self._append_tool(call_id, str(name), str(arguments), emit)
            if self._clock() is not None:  # and so it began with this turn
                self.items[index]["started_at"] = self.facts.get("started_at")
        result = as_text(part.get("result"))
        denied = call.get("denied") is True
        failed = bool(part.get("exception")) or result.startswith("Error:")
        now, begun = self._clock(), self.items[index]["started_at"]
        outcome = {
            "result": result,
            "rich": rich_results(part),
            "failed": failed and not denied,
            "denied": denied,
            "duration": None if now is None or begun is None else max(0.0, now - begun),
        }
        self._replace(index, {**self.items[index], **outcome}, emit)

    def _add_approval(self, part: Mapping[str, Any], emit: Emit) -> None:
        request_id = str(part.get("id") or "")
        call = as_object(part.get("function_call"))
        item = {
            "kind": "approval",
            "id": request_id,
            "name": str(call.get("name") or "tool"),
            "arguments": as_text(call.get("arguments")),
            "answer": None,
            "reason": None,
        }
        call_id = str(call.get("call_id") or "")
        self._calls[call_id] = {"name": item["name"], "arguments": item["arguments"]}
        index = self._indices.get(f"call:{call_id}")
        if index is None:
            index = self._append(item, emit)
        else:  # the call itself was shown as a tool row: the question replaces it
            self._replace(index, item, emit)
        self._indices[f"approval:{request_id}"] = index
        self.requests[request_id] = part

    def _add_usage(self, part: Mapping[str, Any], emit: Emit) -> None:
        """Later figures replace earlier ones: providers report running totals."""
        details = as_object(part.get("usage_details"))
        if details:
            self.facts["usage"] = details
            change = {"op": "patch", "id": self.message_id, "set": {"usage": details}}
            emit(change)

    def _append_tool(self, call_id: str, name: str, arguments: str, emit: Emit) -> int:
        index = self._append(
            {
                "kind": "tool",
                "id": call_id,
                "name": name,
                "arguments": arguments,
                "result": None,
                "rich": [],
                "failed": False,
                "denied": False,
                "started_at": self._clock(),
                "duration": None,
            },
            emit,
        )
        self._indices[f"call:{call_id}"] = index
        return index

    def _append(self, item: Item, emit: Emit) -> int:
        self._end_reasoning(emit)
        self._replace(len(self.items), item, emit)
        return len(self.items) - 1

    def _replace(self, index: int, item: Item, emit: Emit) -> None:
        self.items[index : index + 1] = [item]
        change = {"op": "item", "id": self.message_id, "index": index}
        emit({**change, "item": dict(item)})

    def _extend(self, index: int, field: str, text: str, emit: Emit) -> None:
        self.items[index][field] += text
        change = {"op": "append", "id": self.message_id, "index": index}
        emit({**change, "field": field, "text": text})
