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
from dataclasses import dataclass
from typing import Any

from agent_framework import (
    AgentMiddlewareLayer,
    AgentResponse,
    AgentSession,
    Message,
    SupportsAgentRun,
    WorkflowAgent,
)

from agent_runtime_nb.agents.approvals import (
    ANSWER,
    TellReasons,
    answers_in,
    check_answers,
    granted_tools,
    pending_requests,
    reasons_of,
    with_allowed_tools,
)
from agent_runtime_nb.agents.errors import report_failure
from agent_runtime_nb.agents.history import StagingHistory, staged
from agent_runtime_nb.agents.new_messages import select_new_messages
from agent_runtime_nb.agents.session_snapshot import (
    SESSION_KEY,
    restore_session,
    session_snapshot,
)
from agent_runtime_nb.agents.source import (
    AgentSource,
    as_response,
    as_update,
    close_quietly,
    notice_at_end,
)
from agent_runtime_nb.agents.turn import AgentTurn
from agent_runtime_nb.conversations.entries import (
    Entry,
    load_history,
    repair,
    to_entries,
)
from agent_runtime_nb.exceptions import NotJson, StorageError
from agent_runtime_nb.runtime_abstractions import (
    ALLOWED_TOOLS,
    IActor,
    IActorRuntimeContext,
    JsonValue,
    RequestStatus,
)

_log = logging.getLogger(__name__)

_ANSWERS = {ANSWER, "function_result"}
_ASKS_EACH_TIME = (
    "This agent asks each time: its tools cannot be allowed for the whole conversation."
)


@dataclass
class _Conversation:
    """What stays in memory between turns."""

    agent: SupportsAgentRun
    session: AgentSession
    staging: StagingHistory | None
    snapshot: JsonValue
    notice: str | None
    allowed: set[str]  # tools that run without asking
    looks: bool = False  # whether the agent looks at them


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
      log has the traceback; "retry_after" says in how many seconds a model's service
      may be asked again, if it said so.

    Each of them has `"notices": [{"level", "text"}]` if the turn had any.

    An answer to an approval request is a user message whose contents hold the
    framework's `function_approval_response`, with the call as it was asked about. One
    whose request is not open in this conversation, or that differs from it, fails the
    turn with InvalidRequest. Its `additional_properties` may say more, see `approvals`:
    {"tool_approval": {"always_approve": "tool"}} lets the tool run without asking from
    then on in this conversation, {"tool_approval": {"reason": str}} says why not.

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
            await self._answer(AgentTurn(context, request))

    async def dispose(self) -> None:
        """Close the agent if its factory made it for this conversation."""
        await self._forget()

    async def _forget(self) -> None:
        conversation, self._conversation = self._conversation, None
        if conversation is not None and self._source.is_factory:
            await close_quietly(conversation.agent)

    # --- one turn ---

    async def _answer(self, turn: AgentTurn) -> None:
        try:
            turn.read_inputs()
            conversation = await self._open(turn)
            turn.inputs = await _new_inputs(conversation, turn)
            await self._take_answers(conversation, turn)
            response = await self._stream(conversation, turn)
            await self._complete(conversation, turn, response)
        except asyncio.CancelledError:
            if turn.context.cancel_reason is None:
                raise
            _take_cancellation()
            await self._break_off(turn, RequestStatus.CANCELLED, {})
        except Exception as error:
            in_function = self._source.is_function
            described = report_failure(
                turn.context.actor_id, error, in_function=in_function
            )
            await self._break_off(turn, RequestStatus.FAILED, {"error": described})

    async def _open(self, turn: AgentTurn) -> _Conversation:
        # Tools may have been disallowed between turns.
        allowed = set(await turn.context.read_state(ALLOWED_TOOLS, []))
        if self._conversation is not None and turn.replaced is None:
            self._conversation.allowed &= allowed
            return self._conversation
        await self._forget()
        agent, staging, notice = staged(await self._source.make())
        fresh = agent.create_session(session_id=str(turn.context.actor_id))
        snapshot = await turn.context.read_state(SESSION_KEY)
        session = restore_session(fresh, snapshot, str(turn.context.actor_id))
        if staging is not None:
            session.service_session_id = None
            staging.history = await load_history(turn.context, replaced=turn.replaced)
            notice = None if staging.history else notice
        conversation = _Conversation(agent, session, staging, snapshot, notice, allowed)
        if allowed:
            _make_look(conversation)
        self._conversation = conversation
        return conversation

    async def _take_answers(self, conversation: _Conversation, turn: AgentTurn) -> None:
        """Do what the answers to approval requests say beside yes or no."""
        answers = answers_in(turn.inputs)
        granted = {*granted_tools(answers)} - conversation.allowed
        if granted:
            await self._allow(granted, conversation, turn)

    async def _allow(
        self, granted: set[str], conversation: _Conversation, turn: AgentTurn
    ) -> None:
        if not _make_look(conversation):
            turn.notify("warning", _ASKS_EACH_TIME)
            return
        conversation.allowed |= granted
        await turn.context.write_state(ALLOWED_TOOLS, sorted(conversation.allowed))

    async def _stream(
        self, conversation: _Conversation, turn: AgentTurn
    ) -> AgentResponse:
        if conversation.staging is not None:
            conversation.staging.staged = []
            # A workflow that waits for answers refuses anything else, also as history.
            conversation.staging.is_hidden = turn.kinds() <= _ANSWERS and isinstance(
                conversation.agent, WorkflowAgent
            )
        if conversation.notice:
            turn.notify("info", conversation.notice)
            conversation.notice = None
        agent: Any = conversation.agent
        options: dict[str, Any] = {"stream": True, "session": conversation.session}
        reasons = {} if turn.goes_on else reasons_of(answers_in(turn.inputs))
        if reasons and isinstance(agent, AgentMiddlewareLayer):
            options["middleware"] = [TellReasons(reasons)]
        run: Any = agent.run([] if turn.goes_on else turn.inputs, **options)
        stream: Any = run
        if inspect.isawaitable(run) and not hasattr(run, "__aiter__"):
            stream = await run
        if not hasattr(stream, "__aiter__"):
            # An agent that does not stream gives its whole answer at once.
            response = as_response(stream)
            for update in response.to_updates():
                turn.publish(update)
            return response
        try:
            await self._follow(turn, aiter(stream))
            if hasattr(stream, "get_final_response"):
                return await stream.get_final_response()
            return turn.partial_response()
        except BaseException:  # one that has come to its end needs no closing
            await close_quietly(stream)
            raise

    async def _follow(
        self,
        turn: AgentTurn,
        updates: AsyncIterator[Any],
    ) -> None:
        saved_at = self._clock()
        async for given in updates:
            turn.publish(as_update(given))
            if self._clock() - saved_at >= self._checkpoint_interval:
                messages = turn.partial_response().messages
                entries = to_entries(messages, turn.id, start=len(turn.inputs))
                try:
                    await turn.context.checkpoint(turn.id, {"messages": entries})
                except StorageError as error:
                    # The answer goes on; whether it can be kept, its commit will tell.
                    _log.warning("%s: no checkpoint: %s", turn.context.actor_id, error)
                saved_at = self._clock()

    async def _complete(
        self,
        conversation: _Conversation,
        turn: AgentTurn,
        response: AgentResponse,
    ) -> None:
        staging = conversation.staging
        messages = [*turn.inputs, *response.messages]
        if staging is not None:
            # An agent that ends a run itself (a guard, say) may have saved nothing.
            done = turn.inputs if turn.goes_on else []
            messages = [*done, *staging.staged] if staging.staged else messages
        entries = to_entries(messages, turn.id)
        if text := notice_at_end(conversation.agent, response):
            turn.notify("warning", text)
        await self._save_session(conversation, turn)
        turn.context.append_entries(entries)
        data = {
            "messages": turn.answers(entries),
            "usage": _usage(response),
            "finish_reason": str(response.finish_reason or "") or None,
        }
        turn.respond(RequestStatus.COMPLETED, data)
        if turn.goes_on:
            await self._forget()
        elif staging is not None:
            staging.history.extend(_with_ids(messages, entries))
            staging.staged = []

    async def _break_off(
        self,
        turn: AgentTurn,
        status: RequestStatus,
        data: dict[str, Any],
    ) -> None:
        """End a turn that did not complete, with what there is of it."""
        response = turn.partial_response()
        entries = repair(to_entries([*turn.inputs, *response.messages], turn.id))
        if self._conversation is not None and ANSWER in turn.kinds():
            # The approval is used up, else the tool could run twice on it.
            await self._save_session(self._conversation, turn)
        turn.context.append_entries(entries)
        data["messages"] = turn.answers(entries)
        if status is RequestStatus.CANCELLED:
            data |= {"usage": _usage(response), "finish_reason": None}
        turn.respond(status, data)
        await self._forget()

    async def _save_session(self, conversation: _Conversation, turn: AgentTurn) -> None:
        snapshot = session_snapshot(conversation.session)
        if snapshot == conversation.snapshot:
            return
        try:
            await turn.context.write_state(SESSION_KEY, snapshot)
        except NotJson as error:
            _log.warning(
                "%s: its session is not stored: %s", turn.context.actor_id, error
            )
            text = f"The agent's session state is not stored: {error}"
            turn.notify("warning", text)
        else:
            conversation.snapshot = snapshot


# --- helpers --------------------------------------------------------------------------


def _make_look(conversation: _Conversation) -> bool:
    """Let the agent look at the allowed tools; False: it always asks."""
    if not conversation.looks:
        allowing = with_allowed_tools(conversation.agent, conversation.allowed)
        if allowing is None:
            return False
        conversation.agent, conversation.looks = allowing, True
    return True


async def _new_inputs(conversation: _Conversation, turn: AgentTurn) -> list[Message]:
    """Which of the messages sent are new to the agent.

    Raises:
        InvalidRequest: if they answer what was not asked; nothing is kept of it then.
    """
    answers = ANSWER in turn.kinds()
    if len(turn.inputs) == 1 and not answers:
        return turn.inputs
    if conversation.staging is not None:
        history = conversation.staging.history
    else:
        history = await load_history(turn.context, replaced=turn.replaced)
    new = select_new_messages(turn.inputs, history)
    if answers:
        pending = pending_requests(conversation.agent, conversation.session)
        if pending is not None and conversation.staging and turn.replaced:
            done = await turn.work_of_replaced()
            if done:
                turn.goes_on = True
                conversation.staging.history.extend(done)
                return done
        said, turn.inputs = turn.inputs, []
        check_answers(said, set(map(id, new)), history, pending)
    return new


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
