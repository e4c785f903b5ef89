"""The same agents for front ends that speak AG-UI: `POST /ag-ui/{agent_name}`.

A thread is a conversation, a run a turn; the run's id is the request's, so a run that
is posted again is answered with the same turn. A front end sends all the messages that
it has: a conversation that is new here begins with all of them, any other gets those
after the last answer. Without any message (and nothing to resume) nothing is run and the
answer is a snapshot of the conversation's messages.

Tools run here, with the agent, and are reported as they run. One that waits for an
approval ends the run with an interrupt; it is resumed with the payload
`{"approved": true}`. Tools, context and state of the front end are not used.
"""

from collections.abc import AsyncGenerator, Iterator
from typing import Any

from ag_ui.core import (
    BaseEvent,
    Interrupt,
    MessagesSnapshotEvent,
    ReasoningEndEvent,
    ReasoningMessageContentEvent,
    ReasoningMessageEndEvent,
    ReasoningMessageStartEvent,
    ReasoningStartEvent,
    RunAgentInput,
    RunErrorEvent,
    RunFinishedCancelledOutcome,
    RunFinishedEvent,
    RunFinishedInterruptOutcome,
    RunFinishedSuccessOutcome,
    RunStartedEvent,
    TextMessageContentEvent,
    TextMessageEndEvent,
    TextMessageStartEvent,
    TokenUsage,
    ToolCallArgsEvent,
    ToolCallEndEvent,
    ToolCallResultEvent,
    ToolCallStartEvent,
)
from ag_ui.encoder import EventEncoder
from fastapi import APIRouter, Response

from agent_runtime_nb.conversations.entries import turn_entries
from agent_runtime_nb.http_api.ag_ui.messages import (
    ag_ui_messages,
    known_turns,
    messages_of,
)
from agent_runtime_nb.http_api.approvals import approval_requests, approval_summary
from agent_runtime_nb.http_api.content_stream import (
    ContentChunk,
    arguments_of,
    as_text,
    object_of,
    stream_content,
    turn_error,
    usage_and_finish_reason,
)
from agent_runtime_nb.http_api.lookup import find_actor, find_agent
from agent_runtime_nb.http_api.problems import problem_of
from agent_runtime_nb.http_api.sse import EventStream, StreamSlots
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorResponseHandle,
    ActorResponseMessage,
    IActorClient,
    RequestStatus,
)
from agent_runtime_nb.runtime_directory import ActorView, RuntimeDirectory

_APPROVAL_SCHEMA = {
    "type": "object",
    "properties": {"approved": {"type": "boolean"}},
    "required": ["approved"],
}


def ag_ui_routes(
    client: IActorClient, directory: RuntimeDirectory, slots: StreamSlots
) -> APIRouter:
    """The route, over any client and any directory."""
    handlers = _AgUiRoutes(client, directory, slots)
    routes = APIRouter(include_in_schema=False)
    routes.add_api_route("/ag-ui/{agent_name}", handlers.run, methods=["POST"])
    return routes


class _AgUiRoutes:
    def __init__(
        self, client: IActorClient, directory: RuntimeDirectory, slots: StreamSlots
    ) -> None:
        self._client = client
        self._directory = directory
        self._slots = slots

    async def run(self, agent_name: str, body: RunAgentInput) -> Response:
        """Run a turn; its events."""
        actor_id = await find_actor(self._directory, agent_name, body.thread_id)
        await find_agent(self._directory, agent_name)
        slot = self._slots.take()
        try:
            view = await self._directory.read_actor(actor_id)
            if not body.messages and not body.resume:
                return EventStream(_snapshot(body, view), slot, {})
            handle = await self._send(actor_id, body, view)
        except BaseException:
            slot.release()
            raise
        return EventStream(_events(body, handle), slot, {})

    async def _send(
        self, actor_id: ActorId, body: RunAgentInput, view: ActorView
    ) -> ActorResponseHandle:
        if any(turn.message_id == body.run_id for turn in known_turns(view)):
            # The same run once more.
            return await self._client.get_response(actor_id, body.run_id)
        params = {"messages": messages_of(body, view)}
        return await self._client.send_request(actor_id, "run", params, body.run_id)


# --- events of a run ------------------------------------------------------------------

_encode = EventEncoder().encode


def _encoded(event: BaseEvent) -> bytes:
    return _encode(event).encode()


async def _events(
    body: RunAgentInput, handle: ActorResponseHandle
) -> AsyncGenerator[bytes, None]:
    names: dict[str, Any] = {"thread_id": body.thread_id, "run_id": body.run_id}
    yield _encoded(RunStartedEvent(**names))
    events = _AgUiEvents(body.run_id)
    try:
        async for chunk in stream_content(handle):
            is_last = not isinstance(chunk, ContentChunk)
            for event in events.end() if is_last else events.take(chunk):
                yield _encoded(event)
            if is_last:
                yield _encoded(_end(body, chunk))
    except Exception as error:
        problem = problem_of(error)
        yield _encoded(RunErrorEvent(message=problem.detail, code=problem.slug))


def _end(body: RunAgentInput, response: ActorResponseMessage) -> BaseEvent:
    failed = turn_error(response)
    if failed is not None:
        kind, text, _ = failed
        return RunErrorEvent(message=text or kind, code=kind)
    outcome: Any = RunFinishedSuccessOutcome()
    asked = approval_requests(response.data)
    if response.status is not RequestStatus.COMPLETED:
        outcome = RunFinishedCancelledOutcome()
    elif asked:
        interrupts = [_interrupt(part) for part in asked.values()]
        outcome = RunFinishedInterruptOutcome(interrupts=interrupts)
    counted, _ = usage_and_finish_reason(response)
    usage = TokenUsage(
        input_tokens=counted.get("input_token_count"),
        output_tokens=counted.get("output_token_count"),
        total_tokens=counted.get("total_token_count"),
    )
    return RunFinishedEvent(
        thread_id=body.thread_id,
        run_id=body.run_id,
        outcome=outcome,
        usage=[usage] if counted else None,
    )


def _interrupt(part: dict[str, Any]) -> Interrupt:
    summary = approval_summary(part)
    call = object_of(part.get("function_call"))
    return Interrupt(
        id=summary["approval_id"],
        reason="tool_approval",
        message=f"{summary['name']} wants to run with {as_text(summary['arguments'])}",
        tool_call_id=call.get("call_id"),
        response_schema=_APPROVAL_SCHEMA,
    )


class _AgUiEvents:
    """Makes events of the chunks of one answer; at most one message is open."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._open: tuple[str, str] | None = None  # "text" or "reasoning", and its id
        self._agent_message_id: str | None = None  # as the agent calls the open message
        self._used: set[str] = set()
        self._calls: set[str] = set()  # whose arguments may still come
        self._last_call = ""

    def take(self, chunk: ContentChunk) -> Iterator[BaseEvent]:
        """The events of a chunk."""
        if chunk.kind == "text" and chunk.role == "assistant":
            yield from self._text("text", chunk)
        elif chunk.kind == "text_reasoning":
            yield from self._text("reasoning", chunk)
        elif chunk.kind == "function_call":
            yield from self._call(chunk)
        elif chunk.kind == "function_result":
            yield from self._result(chunk)

    def end(self) -> Iterator[BaseEvent]:
        """The events that end what is open."""
        yield from self._end_message()
        for call_id in sorted(self._calls):
            yield ToolCallEndEvent(tool_call_id=call_id)
        self._calls.clear()

    def _text(self, kind: str, chunk: ContentChunk) -> Iterator[BaseEvent]:
        if not chunk.text:  # an empty delta is no event
            return
        is_other = chunk.message_id not in (None, self._agent_message_id)
        if self._open is None or self._open[0] != kind or is_other:
            yield from self.end()
            yield from self._begin(kind, chunk.message_id)
        name = self._open[1] if self._open else ""
        content: dict[str, Any] = {"message_id": name, "delta": chunk.text}
        if kind == "text":
            yield TextMessageContentEvent(**content)
        else:
            yield ReasoningMessageContentEvent(**content)

    def _begin(self, kind: str, message_id: str | None) -> Iterator[BaseEvent]:
        name = self._new_id(message_id)
        self._open, self._agent_message_id = (kind, name), message_id
        if kind == "text":
            yield TextMessageStartEvent(message_id=name, role="assistant")
        else:
            yield ReasoningStartEvent(message_id=name)
            yield ReasoningMessageStartEvent(message_id=name, role="reasoning")

    def _end_message(self) -> Iterator[BaseEvent]:
        ending, self._open = self._open, None
        if ending is None:
            return
        kind, name = ending
        if kind == "text":
            yield TextMessageEndEvent(message_id=name)
        else:
            yield ReasoningMessageEndEvent(message_id=name)
            yield ReasoningEndEvent(message_id=name)

    def _call(self, chunk: ContentChunk) -> Iterator[BaseEvent]:
        content = chunk.content
        call_id = str(content.get("call_id") or self._last_call)
        self._last_call = call_id
        if call_id not in self._calls:
            yield from self._end_message()
            name = str(content.get("name") or "")
            yield ToolCallStartEvent(tool_call_id=call_id, tool_call_name=name)
            self._calls.add(call_id)
        if arguments := arguments_of(content):
            yield ToolCallArgsEvent(tool_call_id=call_id, delta=arguments)

    def _result(self, chunk: ContentChunk) -> Iterator[BaseEvent]:
        call_id = str(chunk.content.get("call_id"))
        yield from self._end_message()
        if call_id in self._calls:
            self._calls.discard(call_id)
            yield ToolCallEndEvent(tool_call_id=call_id)
        result = chunk.content.get("exception") or chunk.content.get("result") or ""
        yield ToolCallResultEvent(
            message_id=self._new_id(None),
            tool_call_id=call_id,
            content=as_text(result),
            role="tool",
        )

    def _new_id(self, wanted: str | None) -> str:
        name = wanted or f"{self._run_id}-{len(self._used)}"
        if name in self._used:  # the agent goes on with it after a tool
            name = f"{name}-{len(self._used)}"
        self._used.add(name)
        return name


# --- a snapshot of a conversation -----------------------------------------------------


async def _snapshot(
    body: RunAgentInput, view: ActorView
) -> AsyncGenerator[bytes, None]:
    names: dict[str, Any] = {"thread_id": body.thread_id, "run_id": body.run_id}
    entries = [entry for turn in view.turns for entry in turn_entries(turn)]
    messages = [message for entry in entries for message in ag_ui_messages(entry)]
    yield _encoded(RunStartedEvent(**names))
    yield _encoded(MessagesSnapshotEvent(messages=messages))
    yield _encoded(RunFinishedEvent(**names, outcome=RunFinishedSuccessOutcome()))
