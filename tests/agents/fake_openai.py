"""A small OpenAI service on a free loopback port, in a thread.

It speaks the streams of Chat Completions and of Responses, on OpenAI's and on Azure's
paths. It answers "You said <text>.", or calls the tool `get_weather` if it was asked for
the weather, and then says what the tool gave. The key "bad" is refused.
"""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class FakeOpenAI:
    """Use it as a context manager; `requests` holds path and body of each call."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, Any]]] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                size = int(self.headers["Content-Length"])
                body = json.loads(self.rfile.read(size))
                service.requests.append((self.path, body))
                keys = (self.headers["Authorization"], self.headers["api-key"])
                if "Bearer bad" in keys:
                    self._refuse()
                    return
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                chat = self.path.partition("?")[0].endswith("/chat/completions")
                for event in _chat(body) if chat else _responses(body):
                    self.wfile.write(event.encode())

            def _refuse(self) -> None:
                self.send_response(401)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                message = "Incorrect API key provided: sk-bad12345678."
                self.wfile.write(
                    json.dumps({"error": {"message": message, "code": "x"}}).encode()
                )

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        # It sees its shutdown only between two polls.
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [body for _, body in self.requests]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


def _words(text: str) -> Iterator[str]:
    for index, word in enumerate(text.split(" ")):
        yield f" {word}" if index else word


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return " ".join(part["text"] for part in content if "text" in part)


# --- Chat Completions -----------------------------------------------------------------


def _chat(body: dict[str, Any]) -> Iterator[str]:
    last = body["messages"][-1]
    if last["role"] == "tool":
        deltas = [{"content": word} for word in _words(f"It is {last['content']}.")]
    elif "weather" in _text(last["content"]):
        deltas = [
            _tool_call("c1", "get_weather", '{"ci'),
            _tool_call(None, None, 'ty": "Paris"}'),
        ]
    else:
        answer = f"You said {_text(last['content'])}."
        deltas = [{"content": word} for word in _words(answer)]
    yield _chunk({"role": "assistant", "content": ""})
    for delta in deltas:
        yield _chunk(delta)
    calls = "tool_calls" in deltas[0]
    yield _chunk({}, finish_reason="tool_calls" if calls else "stop")
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    yield _chunk(None, usage=usage)
    yield "data: [DONE]\n\n"


def _tool_call(call_id: str | None, name: str | None, arguments: str) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    call = {"index": 0, "id": call_id, "type": "function", "function": function}
    return {"tool_calls": [call]}


def _chunk(
    delta: dict[str, Any] | None,
    *,
    finish_reason: str | None = None,
    usage: dict[str, int] | None = None,
) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    chunk = {
        "id": "chat-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "fake",
        "choices": [] if delta is None else [choice],
        "usage": usage,
    }
    return f"data: {json.dumps(chunk)}\n\n"


# --- Responses ------------------------------------------------------------------------


def _responses(body: dict[str, Any]) -> Iterator[str]:
    last = body["input"][-1]
    if last.get("type") == "function_call_output":
        item, deltas = _message(f"It is {last['output']}.")
    elif "weather" in _text(last["content"]):
        item, deltas = _function_call('{"city": "Paris"}')
    else:
        item, deltas = _message(f"You said {_text(last['content'])}.")
    place = {"output_index": 0, "item_id": item["id"], "content_index": 0}
    unfinished: dict[str, Any] = {
        **item,
        "status": "in_progress",
        "content": [],
        "arguments": "",
    }
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": _response([], "in_progress")},
        {"type": "response.output_item.added", "output_index": 0, "item": unfinished},
        *[{**place, **delta} for delta in deltas],
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": _response([item], "completed")},
    ]
    for number, event in enumerate(events):
        data = json.dumps({**event, "sequence_number": number})
        yield f"event: {event['type']}\ndata: {data}\n\n"


def _message(text: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    part: dict[str, Any] = {
        "type": "output_text",
        "text": text,
        "annotations": [],
        "logprobs": [],
    }
    item: dict[str, Any] = {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": [part],
    }
    kind = "response.output_text.delta"
    return item, [
        {"type": kind, "delta": word, "logprobs": []} for word in _words(text)
    ]


def _function_call(arguments: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    item: dict[str, Any] = {
        "type": "function_call",
        "id": "fc_1",
        "call_id": "c1",
        "name": "get_weather",
        "arguments": arguments,
        "status": "completed",
    }
    kind = "response.function_call_arguments.delta"
    half = len(arguments) // 2
    halves = (arguments[:half], arguments[half:])
    return item, [{"type": kind, "delta": piece} for piece in halves]


def _response(output: list[dict[str, Any]], status: str) -> dict[str, Any]:
    usage = {
        "input_tokens": 3,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 4,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 7,
    }
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": "fake",
        "status": status,
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": usage if status == "completed" else None,
    }
