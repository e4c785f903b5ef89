"""The output items of a response, and the stream events that report them as they grow.

A text is a `message`, reasoning a `reasoning`, a tool that the agent called an
`mcp_call` (of a server's tool: it ran here, and is not for the caller to run), a tool
that waits for somebody's approval an `mcp_approval_request`. Items stand in the order
of their beginnings; the chunks of a stream and those of the final response
give the same items.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

from agent_runtime_nb.http_api.content_stream import (
    ContentChunk,
    arguments_of,
    as_text,
    object_of,
)
from agent_runtime_nb.runtime_abstractions import JsonValue

Event: TypeAlias = tuple[str, Mapping[str, JsonValue]]
"""The type of an event and its members."""


class Output:
    """Builds the items of one response.

    Args:
        label: what calls of tools name as their server.
        name: of the response; ids of items are made from it.
    """

    def __init__(self, label: str, name: str) -> None:
        self.items: list[dict[str, Any]] = []
        self._label = label
        self._name = name
        self._growing: int | None = None  # the text or the reasoning at the end
        self._calls: dict[str, int] = {}  # tools without a result yet, by call id
        self._last_call = ""

    def take(self, chunk: ContentChunk) -> list[Event]:
        """Add a chunk; the events that report it."""
        if chunk.kind == "text" and chunk.role == "assistant":
            return self._grow("message", chunk.text)
        if chunk.kind == "text_reasoning":
            return self._grow("reasoning", chunk.text)
        if chunk.kind == "function_call":
            return self._call(chunk.content)
        if chunk.kind == "function_result":
            return self._result(chunk.content)
        if chunk.kind == "function_approval_request":
            return self._approval(chunk.content)
        return []

    def finish(self) -> list[Event]:
        """There is no more; whatever is open ends."""
        events = self._end_growing()
        for index in self._calls.values():
            self.items[index]["status"] = "incomplete"
            events.append(self._done(index))
        self._calls.clear()
        return events

    # --- texts

    def _grow(self, kind: str, text: str) -> list[Event]:
        if not text:
            return []
        events: list[Event] = []
        at = self._growing
        if at is None or self.items[at]["type"] != kind:
            events += self._end_growing()
            at = self._growing = len(self.items)
            events += (
                self._begin_message() if kind == "message" else self._begin_reasoning()
            )
        item = self.items[at]
        if kind == "reasoning":
            item["summary"][0]["text"] += text
            return events
        item["content"][0]["text"] += text
        delta: dict[str, Any] = {"delta": text, "logprobs": []}
        return [
            *events,
            ("response.output_text.delta", {**self._position(at), **delta}),
        ]

    def _begin_message(self) -> list[Event]:
        begun = {"type": "message", "role": "assistant", "status": "in_progress"}
        events = [self._add({**begun, "content": []}, "msg")]
        part: dict[str, Any] = {"type": "output_text", "text": "", "annotations": []}
        at = len(self.items) - 1
        self.items[at] = {**self.items[at], "content": [dict(part)]}
        added = {**self._position(at), "part": part}
        return [*events, ("response.content_part.added", added)]

    def _begin_reasoning(self) -> list[Event]:
        event = self._add({"type": "reasoning", "summary": []}, "rs")
        summary = [{"type": "summary_text", "text": ""}]
        self.items[-1] = {**self.items[-1], "summary": summary}
        return [event]

    def _end_growing(self) -> list[Event]:
        at, self._growing = self._growing, None
        if at is None:
            return []
        item = self.items[at]
        if item["type"] == "reasoning":
            return [self._done(at)]
        item["status"] = "completed"
        part = dict(item["content"][0])
        members: dict[str, Any] = {
            **self._position(at),
            "text": part["text"],
            "logprobs": [],
        }
        return [
            ("response.output_text.done", members),
            ("response.content_part.done", {**self._position(at), "part": part}),
            self._done(at),
        ]

    # --- tools

    def _call(self, content: dict[str, Any]) -> list[Event]:
        """A call, or a further part of its arguments."""
        call_id = str(content.get("call_id") or self._last_call)
        self._last_call = call_id
        if call_id in self._calls:
            item = self.items[self._calls[call_id]]
            item["arguments"] += arguments_of(content)
            return []
        events = self._end_growing()
        call: dict[str, Any] = {
            "type": "mcp_call",
            "server_label": self._label,
            "name": str(content.get("name") or ""),
            "arguments": arguments_of(content),
            "output": None,
            "error": None,
            "status": "in_progress",
        }
        self._calls[call_id] = len(self.items)
        return [*events, self._add(call, "mcp")]

    def _result(self, content: dict[str, Any]) -> list[Event]:
        at = self._calls.pop(str(content.get("call_id")), None)
        if at is None:
            return []
        failed = content.get("exception")
        members = {"error": as_text(failed)} if failed else {}
        result = as_text(content.get("result") or "")
        self.items[at] |= {"status": "failed" if failed else "completed", **members}
        self.items[at]["output"] = None if failed else result
        return [self._done(at)]

    def _approval(self, content: dict[str, Any]) -> list[Event]:
        call = object_of(content.get("function_call"))
        events = self._end_growing()
        # It is this, and no call that runs.
        asked: dict[str, Any] = {
            "type": "mcp_approval_request",
            "server_label": self._label,
            "name": str(call.get("name") or ""),
            "arguments": arguments_of(call),
            "id": str(content.get("id")),
        }
        return [*events, self._add(asked, ""), self._done(len(self.items) - 1)]

    # --- items

    def _add(self, item: dict[str, Any], prefix: str) -> Event:
        at = len(self.items)
        self.items.append({"id": f"{prefix}_{self._name}_{at}", **item})
        members = {"output_index": at, "item": dict(self.items[at])}
        return "response.output_item.added", members

    def _done(self, at: int) -> Event:
        members = {"output_index": at, "item": dict(self.items[at])}
        return "response.output_item.done", members

    def _position(self, at: int) -> dict[str, JsonValue]:
        return {"item_id": self.items[at]["id"], "output_index": at, "content_index": 0}
