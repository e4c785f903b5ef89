"""An actor used as an agent of the framework, from whatever can reach it.

To the framework an `AgentProxy` is an agent like any other; a run of it is one request
to the actor of a conversation. So it may be called as a function, be the tool of
another agent, or a participant of a workflow, while the conversation lives elsewhere:
stored, one turn at a time, seen in every panel.

A framework agent is given a list of messages and a session, an actor has a memory of
its own. What that means:

* *The session names the conversation*, it carries nothing. Its state stays empty, so a
  session that is lost, or made again from its id, loses nothing.
* *A message is said once.* Workflows hand on the whole conversation, again in each
  round. The proxy marks the ids of the answers that it gives: what stands before the
  last of its own answers was said before and is left out. Of the rest, the actor leaves
  out what it has already (same id); that is why a message without an id is given one.
  Both depend on nothing but the messages and what is stored, so a workflow that is
  built anew after a crash goes on where it was.
* *A message id makes a run safe to repeat.* If the caller gave the last user message
  its id, the request's id is made of that and of what follows it: the same call finds
  the answer that is there, or the turn under way. One that ended otherwise is run
  again, in the place of the first.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, overload
from uuid import uuid4

from agent_framework import (
    AgentResponse,
    AgentResponseUpdate,
    AgentRunInputs,
    AgentSession,
    BaseAgent,
    ResponseStream,
    normalize_messages,
)

from agent_runtime_nb.agents.proxy_messages import (
    GIVEN,
    ProxyAnswer,
    left_early,
    mark_of,
    request_id,
    to_say,
)
from agent_runtime_nb.agents.source import close_quietly
from agent_runtime_nb.conversations.entries import END_NOTES, RETRY_OF
from agent_runtime_nb.exceptions import InvalidRequest
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorResponseHandle,
    ActorResponseMessage,
    JsonValue,
    RequestStatus,
    WhenBusy,
)

_log = logging.getLogger(__name__)

_CANCEL_WAIT = 5.0
_LOOK_WAIT = 0.5


class RequestSender(Protocol):
    """What a proxy needs of a client; every `IActorClient` has it."""

    async def send_request(
        self,
        actor_id: ActorId,
        method: str,
        params: JsonValue = None,
        message_id: str | None = None,
        *,
        when_busy: WhenBusy = "queue",
        timeout: float | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> ActorResponseHandle:
        """See `IActorClient.send_request`."""
        ...


class AgentProxy(BaseAgent):
    """An actor as an agent of the framework; see the head of this module.

    A run gives what an agent's run gives: messages with their authors, usage, finish
    reason, approval requests (answer them in a message, as ever). `response_id` is the
    request's id, and `additional_properties` has "status" ("completed", "cancelled",
    "interrupted"), "conversation" and, if there are any, "notices". An answer that was
    cancelled or interrupted is what there is of it, with "status" in the additional
    properties of its last message, which says in words that it broke off.

    What belongs to a run in this process only (`function_invocation_kwargs`,
    `client_kwargs`) does not travel to the actor and is ignored.

    Args:
        client: an `IActorClient`, or anything else with its `send_request`. Without
            `get_response` a repeated call finds a failed answer again.
        agent_name: the actor type, as in `ActorId`.
        name: the proxy's own name, in workflows and as a tool; `agent_name` if None.
        description: what the agent is good for; a tool needs one.
        conversation: the conversation of every run, whatever its session. If None, the
            session names it (its service's id, else its own) and a run without a
            session has a new conversation of its own.
        timeout: seconds from the call in which a turn must end; see `send_request`.
        when_busy: see `send_request`.
        cancel_with_caller: whether a caller who is cancelled, or closes the stream
            early, stops the turn, as it would with an agent at hand. If False, the
            turn goes on, as it does for the clients of actors.

    Raises:
        InvalidActorId: if `agent_name` or `conversation` cannot be one.
        InvalidRequest: if `client` cannot send requests.
    """

    def __init__(
        self,
        client: RequestSender,
        agent_name: str,
        *,
        name: str | None = None,
        description: str | None = None,
        conversation: str | None = None,
        timeout: float | None = None,
        when_busy: WhenBusy = "queue",
        cancel_with_caller: bool = True,
    ) -> None:
        checked = ActorId(agent_name, "any" if conversation is None else conversation)
        if not callable(getattr(client, "send_request", None)):
            problem = "has no send_request; give a client, such as rt.client"
            raise InvalidRequest("client", problem)
        super().__init__(
            id=agent_name if conversation is None else str(checked),
            name=name or agent_name,
            description=description,
        )
        self._client = client
        self._type_name = agent_name
        self._conversation = conversation
        self._timeout = timeout
        self._when_busy: WhenBusy = when_busy
        self._cancels = cancel_with_caller

    def __repr__(self) -> str:
        place = self._conversation
        where = "" if place is None else f", conversation={place!r}"
        return f"AgentProxy({self._type_name!r}{where})"

    def create_session(self, *, session_id: str | None = None) -> AgentSession:
        """A session whose id is the conversation's: the given, the proxy's, or a new one."""
        return AgentSession(session_id=session_id or self._conversation)

    @overload
    def run(
        self,
        messages: AgentRunInputs | None = None,
        *,
        stream: Literal[False] = ...,
        session: AgentSession | None = None,
        function_invocation_kwargs: Mapping[str, Any] | None = None,
        client_kwargs: Mapping[str, Any] | None = None,
    ) -> Coroutine[Any, Any, AgentResponse[Any]]: ...

    @overload
    def run(
        self,
        messages: AgentRunInputs | None = None,
        *,
        stream: Literal[True],
        session: AgentSession | None = None,
        function_invocation_kwargs: Mapping[str, Any] | None = None,
        client_kwargs: Mapping[str, Any] | None = None,
    ) -> ResponseStream[AgentResponseUpdate, AgentResponse[Any]]: ...

    def run(
        self,
        messages: AgentRunInputs | None = None,
        *,
        stream: bool = False,
        session: AgentSession | None = None,
        # Of the framework's protocol: they belong to a process, and do not travel.
        function_invocation_kwargs: Mapping[str, Any] | None = None,
        client_kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Say something to the conversation; nothing happens before it is awaited.

        Args:
            messages: what to say, or the conversation so far with it at its end.
            stream: whether to give the updates as they come.
            session: names the conversation.
            function_invocation_kwargs: ignored.
            client_kwargs: ignored.

        Returns:
            An awaitable of the response, or a stream of updates with the response at
            its end. A stream whose updates are no longer kept gives the whole answer.

        Raises:
            TurnFailed: (when awaited) with what the turn recorded.
            InvalidRequest: if there is nothing to say.
            AgentRuntimeError: what `IActorClient.send_request` raises.
        """
        if not stream:
            return self._answer(messages, session)
        outcome: list[AgentResponse[Any]] = []

        def finalize(updates: Sequence[AgentResponseUpdate]) -> AgentResponse[Any]:
            return outcome[0] if outcome else left_early(updates)

        updates = self._updates(messages, session, outcome)
        return ResponseStream(updates, finalizer=finalize)

    # --- one run ---

    async def _answer(
        self, messages: AgentRunInputs | None, session: AgentSession | None
    ) -> AgentResponse[Any]:
        request = self._request(messages, session)
        try:
            handle = await request.send()
            return ProxyAnswer(self, handle).response(await handle.get_response())
        except asyncio.CancelledError:
            await request.stop(cancels=self._cancels)
            raise

    async def _updates(
        self,
        messages: AgentRunInputs | None,
        session: AgentSession | None,
        outcome: list[AgentResponse[Any]],
    ) -> AsyncIterator[AgentResponseUpdate]:
        request = self._request(messages, session)
        watch: AsyncIterator[ActorResponseMessage] | None = None
        try:
            handle = await request.send()
            answer = ProxyAnswer(self, handle)
            watch = handle.watch_updates()
            async for message in watch:
                if message.status is not RequestStatus.PENDING:
                    outcome.append(answer.response(message))
                elif update := answer.update(message.data):
                    yield update
            for update in answer.rest(outcome[0]):
                yield update
        except (asyncio.CancelledError, GeneratorExit):
            await request.stop(cancels=self._cancels)
            raise
        finally:
            await close_quietly(watch)

    def _request(
        self, messages: AgentRunInputs | None, session: AgentSession | None
    ) -> "_Request":
        actor_id = ActorId(self._type_name, self._conversation_of(session))
        given = normalize_messages(messages)
        message_id = request_id(given)
        for message in given:
            message.message_id = message.message_id or f"{GIVEN}{uuid4().hex}"
        entries = to_say(given, mark_of(actor_id))
        if not entries:
            problem = "there is nothing to say: none are given, or the last one is "
            raise InvalidRequest("messages", problem + "the agent's own answer")
        return _Request(
            client=self._client,
            actor_id=actor_id,
            params={"messages": entries},
            message_id=message_id or uuid4().hex,
            is_repeatable=message_id is not None,
            options={"timeout": self._timeout, "when_busy": self._when_busy},
        )

    def _conversation_of(self, session: AgentSession | None) -> str:
        if self._conversation is not None:
            return self._conversation
        if session is None:
            return uuid4().hex
        named = session.service_session_id
        if named is not None and not isinstance(named, str):
            problem = "must be the id of a conversation, a string"
            raise InvalidRequest("session.service_session_id", problem)
        return named or session.session_id


@dataclass
class _Request:
    """One run, as a request that is sent once."""

    client: RequestSender
    actor_id: ActorId
    params: JsonValue
    message_id: str
    is_repeatable: bool
    options: Mapping[str, Any]
    retry_of: str | None = None
    is_sent: bool = False
    handle: ActorResponseHandle | None = None

    async def send(self) -> ActorResponseHandle:
        """Send it, or find the turn that an earlier call with its id began."""
        if self.is_repeatable:
            await self._pass_failed_attempts()
        self.is_sent = True
        self.handle = await self._send()
        return self.handle

    async def _send(self) -> ActorResponseHandle:
        retry = None if self.retry_of is None else {RETRY_OF: self.retry_of}
        return await self.client.send_request(
            self.actor_id,
            "run",
            self.params,
            self.message_id,
            metadata=retry,
            **self.options,
        )

    async def _pass_failed_attempts(self) -> None:
        look = getattr(self.client, "get_response", None)
        first, attempt = self.message_id, 1
        while look and await _has_failed(await look(self.actor_id, self.message_id)):
            attempt += 1
            self.retry_of, self.message_id = self.message_id, f"{first}~{attempt}"

    async def stop(self, *, cancels: bool) -> None:
        """The caller is gone: cancel the turn, bounded; errors change nothing."""
        if not (cancels and self.is_sent):
            return
        try:
            async with asyncio.timeout(_CANCEL_WAIT):
                # Whether it was accepted is known by sending it again with its id.
                handle = self.handle or await self._send()
                await handle.cancel()
        except Exception:
            _log.warning(
                "%s: request %s of a caller who is gone could not be cancelled",
                self.actor_id,
                self.message_id,
                exc_info=True,
            )


async def _has_failed(handle: ActorResponseHandle) -> bool:
    # A handle does not tell whether its turn is under way: what has ended answers at
    # once. Taking a slow answer for a turn under way only means to find it again.
    try:
        async with asyncio.timeout(_LOOK_WAIT):
            return (await handle.get_response()).status in END_NOTES
    except TimeoutError:
        return False
