"""A framework agent run as an actor: one conversation, one turn at a time, stored.

The framework saves a conversation only at the end of a run, so a run that is cancelled
or fails would lose the whole turn, also what the person said. Therefore the actor runs
a *copy* of the agent whose first history provider is a `StagingHistory`: it gives the
agent the conversation and catches what a run saves, and the actor commits that once,
with a status. What broke off is made of the updates seen so far. The agent that was
given is never changed.

Nothing is staged if the agent keeps its history elsewhere: it has a history provider
that loads, its service stores conversations by the user's choice, or it is no agent
with a list of context providers. Then the turn is stored for display only, and the
session's snapshot carries what the agent needs.

Copy, session and history stay in memory between turns, so a turn costs what it adds.
After a turn that did not complete they are made anew from what is stored.
"""

import asyncio
import inspect
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent_framework import (
    AgentResponse,
    AgentResponseUpdate,
    AgentSession,
    Message,
    SupportsAgentRun,
    WorkflowAgent,
)

from agent_runtime_nb._agent_errors import report_failure
from agent_runtime_nb._agent_source import (
    AgentSource,
    StagingHistory,
    as_response,
    as_update,
    close_quietly,
    notice_at_end,
    staged,
)
from agent_runtime_nb._unheard import unheard
from agent_runtime_nb.exceptions import InvalidRequest, NotJson, StorageError
from agent_runtime_nb.runtime_abstractions import (
    ActorRequestMessage,
    ActorResponseMessage,
    IActor,
    IActorRuntimeContext,
    JsonValue,
    RequestStatus,
)
from agent_runtime_nb.sessions import (
    RETRY_OF,
    SESSION_KEY,
    Entry,
    load_history,
    parse_messages,
    repair,
    restore_session,
    session_snapshot,
    text_of,
    to_entries,
)

_log = logging.getLogger(__name__)

_ANSWERS = {"function_approval_response", "function_result"}


@dataclass
class _Conversation:
    """What stays in memory between turns."""

    agent: SupportsAgentRun
    session: AgentSession
    staging: StagingHistory | None
    snapshot: JsonValue
    notice: str | None


@dataclass
class _Turn:
    """What is known of the running turn."""

    request: ActorRequestMessage
    inputs: list[Message] = field(default_factory=list[Message])
    updates: list[AgentResponseUpdate] = field(
        default_factory=list[AgentResponseUpdate]
    )
    notices: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    sequence: int = 0

    @property
    def id(self) -> str:
        return self.request.message_id

    def kinds(self) -> set[str]:
        """The kinds of content that were sent."""
        return {content.type for one in self.inputs for content in one.contents}

    def partial_response(self) -> AgentResponse:
        """What the updates seen so far make; not for every update, it costs all of them."""
        return AgentResponse.from_updates(self.updates)


class AgentActor(IActor):
    """Runs an agent of the framework as an actor with the one method "run".

    A request's params are `{"messages": [{"role", "content", "message_id"?}]}`; see
    `sessions.parse_messages`. Progress is one JSON value per update of the agent, the
    framework's `AgentResponseUpdate.to_dict()`, or a notice, `{"type": "notice",
    "level": "info" | "warning", "text": str}`. The response's data is

    * COMPLETED and CANCELLED: `{"messages": [entry + {"content": text}], "usage":
      {...} | None, "finish_reason": str | None}`, the agent's messages of the turn;
    * FAILED: `{"error": {"type", "message", "retryable"}, "messages": [...]}`; if a
      function raised, the error has "where", the place in the user's code, and the
      log has the traceback.

    Each of them has `"notices": [{"level", "text"}]` if the turn had any.

    An answer to an approval request is a user message whose contents hold the
    framework's `function_approval_response`.

    Args:
        agent: an agent (anything that has the framework's `SupportsAgentRun`), a
            factory of one (a callable without required parameters, sync or async,
            asked once per conversation and again after a turn that did not complete),
            or a function `f(message, history)` or `f(message)`: plain (run in a
            thread), async, generator or async generator; `message` is the text, the
            history a list of `{"role", "content"}`, what it returns or yields is the
            answer, in pieces.
        clock: monotonic seconds.
        checkpoint_interval: seconds of streaming between two saves of partial text.

    Raises:
        InvalidAgent: saying what to give instead.
    """

    def __init__(
        self,
        agent: Any,
        *,
        clock: Callable[[], float] = time.monotonic,
        checkpoint_interval: float = 2.0,
    ) -> None:
        self._source = AgentSource(agent)
        self._clock = clock
        self._checkpoint_interval = checkpoint_interval
        self._conversation: _Conversation | None = None

    async def run(self, context: IActorRuntimeContext) -> None:
        """Answer the waiting requests; see `IActor.run`."""
        async for request in context.watch_messages():
            await self._answer(context, _Turn(request))

    async def dispose(self) -> None:
        """Close the agent if its factory made it for this conversation."""
        await self._forget()

    async def _forget(self) -> None:
        conversation, self._conversation = self._conversation, None
        if conversation is not None and self._source.is_factory:
            await close_quietly(conversation.agent)

    # --- one turn ---

    async def _answer(self, context: IActorRuntimeContext, turn: _Turn) -> None:
        try:
            turn.inputs = _inputs(turn.request)
            conversation = await self._open(context, turn)
            turn.inputs = await _to_hear(context, conversation, turn)
            response = await self._stream(context, conversation, turn)
            await self._complete(context, conversation, turn, response)
        except asyncio.CancelledError:
            if context.cancel_reason is None:
                raise
            _take_cancellation()
            await self._break_off(context, turn, RequestStatus.CANCELLED, {})
        except Exception as error:
            in_function = self._source.is_function
            told = report_failure(context.actor_id, error, in_function=in_function)
            await self._break_off(context, turn, RequestStatus.FAILED, {"error": told})

    async def _open(self, context: IActorRuntimeContext, turn: _Turn) -> _Conversation:
        replaced = turn.request.metadata.get(RETRY_OF)
        if self._conversation is not None and replaced is None:
            return self._conversation
        await self._forget()
        agent, staging, notice = staged(await self._source.make())
        fresh = agent.create_session(session_id=str(context.actor_id))
        snapshot = await context.read_state(SESSION_KEY)
        session = restore_session(fresh, snapshot, str(context.actor_id))
        if staging is not None:
            session.service_session_id = None
            staging.history = await load_history(context, replaced=replaced)
            notice = None if staging.history else notice
        conversation = _Conversation(agent, session, staging, snapshot, notice)
        self._conversation = conversation
        return conversation

    async def _stream(
        self, context: IActorRuntimeContext, conversation: _Conversation, turn: _Turn
    ) -> AgentResponse:
        if conversation.staging is not None:
            conversation.staging.staged = []
            # A workflow that waits for answers refuses anything else, also as history.
            conversation.staging.is_hidden = turn.kinds() <= _ANSWERS and isinstance(
                conversation.agent, WorkflowAgent
            )
        if conversation.notice:
            _notify(context, turn, "info", conversation.notice)
            conversation.notice = None
        agent: Any = conversation.agent
        run: Any = agent.run(turn.inputs, stream=True, session=conversation.session)
        stream: Any = run
        if inspect.isawaitable(run) and not hasattr(run, "__aiter__"):
            stream = await run
        if not hasattr(stream, "__aiter__"):
            # An agent that does not stream gives its whole answer at once.
            response = as_response(stream)
            for update in response.to_updates():
                _publish(context, turn, update)
            return response
        try:
            await self._follow(context, turn, aiter(stream))
            if hasattr(stream, "get_final_response"):
                return await stream.get_final_response()
            return turn.partial_response()
        finally:
            await close_quietly(stream)

    async def _follow(
        self,
        context: IActorRuntimeContext,
        turn: _Turn,
        updates: AsyncIterator[Any],
    ) -> None:
        saved_at = self._clock()
        async for given in updates:
            _publish(context, turn, as_update(given))
            if self._clock() - saved_at >= self._checkpoint_interval:
                messages = turn.partial_response().messages
                entries = to_entries(messages, turn.id, start=len(turn.inputs))
                try:
                    await context.checkpoint(turn.id, {"messages": entries})
                except StorageError as error:
                    # The answer goes on; whether it can be kept, its commit will tell.
                    _log.warning("%s: no checkpoint: %s", context.actor_id, error)
                saved_at = self._clock()

    async def _complete(
        self,
        context: IActorRuntimeContext,
        conversation: _Conversation,
        turn: _Turn,
        response: AgentResponse,
    ) -> None:
        staging = conversation.staging
        messages = [*turn.inputs, *response.messages]
        if staging is not None:
            # An agent that ends a run itself (a guard, say) may have saved nothing.
            messages = staging.staged or messages
        entries = to_entries(messages, turn.id)
        if text := notice_at_end(conversation.agent, response):
            _notify(context, turn, "warning", text)
        await self._save_session(context, conversation, turn)
        context.append_entries(entries)
        data = {
            "messages": _answers(entries, turn),
            "usage": _usage(response),
            "finish_reason": str(response.finish_reason or "") or None,
        }
        _respond(context, turn, RequestStatus.COMPLETED, data)
        if staging is not None:
            staging.history.extend(_with_ids(messages, entries))
            staging.staged = []

    async def _break_off(
        self,
        context: IActorRuntimeContext,
        turn: _Turn,
        status: RequestStatus,
        data: dict[str, Any],
    ) -> None:
        """End a turn that did not complete, with what there is of it."""
        response = turn.partial_response()
        entries = repair(to_entries([*turn.inputs, *response.messages], turn.id))
        if (
            self._conversation is not None
            and "function_approval_response" in turn.kinds()
        ):
            # The approval is used up, else the tool could run twice on it.
            await self._save_session(context, self._conversation, turn)
        context.append_entries(entries)
        data["messages"] = _answers(entries, turn)
        if status is RequestStatus.CANCELLED:
            data |= {"usage": _usage(response), "finish_reason": None}
        _respond(context, turn, status, data)
        await self._forget()

    async def _save_session(
        self, context: IActorRuntimeContext, conversation: _Conversation, turn: _Turn
    ) -> None:
        snapshot = session_snapshot(conversation.session)
        if snapshot == conversation.snapshot:
            return
        try:
            await context.write_state(SESSION_KEY, snapshot)
        except NotJson as error:
            _log.warning("%s: its session is not stored: %s", context.actor_id, error)
            text = f"The agent's session state is not stored: {error}"
            _notify(context, turn, "warning", text)
        else:
            conversation.snapshot = snapshot


# --- helpers --------------------------------------------------------------------------


def _inputs(request: ActorRequestMessage) -> list[Message]:
    if request.method != "run":
        problem = f'{request.method!r} is not known; agents have "run"'
        raise InvalidRequest("method", problem)
    return parse_messages(request.params, request.message_id)


async def _to_hear(
    context: IActorRuntimeContext, conversation: _Conversation, turn: _Turn
) -> list[Message]:
    if len(turn.inputs) == 1:
        return turn.inputs
    if conversation.staging is not None:
        return unheard(turn.inputs, conversation.staging.history)
    replaced = turn.request.metadata.get(RETRY_OF)
    return unheard(turn.inputs, await load_history(context, replaced=replaced))


def _publish(
    context: IActorRuntimeContext, turn: _Turn, update: AgentResponseUpdate
) -> None:
    turn.updates.append(update)
    # Services send empty updates for their own lifecycle events.
    if any(content.type != "text" or content.text for content in update.contents):
        context.on_progress_update(turn.id, turn.sequence, update.to_dict())
        turn.sequence += 1


def _notify(context: IActorRuntimeContext, turn: _Turn, level: str, text: str) -> None:
    notice = {"level": level, "text": text}
    turn.notices.append(notice)
    context.on_progress_update(turn.id, turn.sequence, {"type": "notice", **notice})
    turn.sequence += 1


def _respond(
    context: IActorRuntimeContext,
    turn: _Turn,
    status: RequestStatus,
    data: dict[str, Any],
) -> None:
    if turn.notices:
        data["notices"] = turn.notices
    response = ActorResponseMessage(
        message_id=turn.id, sender_id=context.actor_id, status=status, data=data
    )
    context.complete_request(turn.id, response)


def _answers(entries: Sequence[Entry], turn: _Turn) -> list[dict[str, Any]]:
    asked = {message.message_id for message in turn.inputs}
    return [
        {**entry, "content": text_of(entry)}
        for entry in entries
        if entry["message_id"] not in asked
    ]


def _with_ids(messages: Sequence[Message], entries: Sequence[Entry]) -> list[Message]:
    for message, entry in zip(messages, entries, strict=True):
        message.message_id = entry["message_id"]
    return list(messages)


def _usage(response: AgentResponse) -> dict[str, Any] | None:
    return dict(response.usage_details) if response.usage_details else None


def _take_cancellation() -> None:
    """The task goes on: later timeouts must not mistake the old cancellation."""
    task = asyncio.current_task()
    while task is not None and task.cancelling():
        task.uncancel()
