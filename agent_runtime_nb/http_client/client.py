"""Actors of another process over its HTTP API: `HttpActorClient` and its directory.

They keep the contracts of `IActorClient` and `RuntimeDirectory`, so an `AgentProxy`, a
chat panel or a dashboard works the same with actors of another process:

    client = HttpActorClient("http://127.0.0.1:8000", token="...")
    ChatPanel(client, client.directory, ActorId("echo", "c1"))

A connection may break at any moment. A request has its message id before it is sent, so
sending it again attaches to the first; a response is requested again; a stream resumes
after the last item received. All that is done automatically for `retry_for` seconds.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Self, cast

from agent_runtime_nb._base.json_codec import encode
from agent_runtime_nb.exceptions import (
    AgentRuntimeError,
    DeadlineExceeded,
    OutcomeUnknown,
    TooLarge,
)
from agent_runtime_nb.http_client import protocol
from agent_runtime_nb.http_client.connection import HttpConnection
from agent_runtime_nb.http_client.retry import TransientError
from agent_runtime_nb.http_client.stream import StreamBuffer
from agent_runtime_nb.runtime.wait_graph import within_turn
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorResponseHandle,
    ActorResponseMessage,
    Cursor,
    IActorClient,
    JsonValue,
    Page,
    RequestStatus,
    TurnUpdate,
    TurnView,
    WhenBusy,
)
from agent_runtime_nb.runtime_directory import (
    ActorSummary,
    ActorTypeInfo,
    ActorView,
    ConversationInfo,
    DeadLetterInfo,
    Health,
    RuntimeDirectory,
)
from agent_runtime_nb.runtime_events import RuntimeEvent


class HttpActorClient(IActorClient):
    """A client of the actors behind an HTTP API, for any thread and any loop.

    Beside what `IActorClient` says, its methods raise `RemoteError`: the server cannot
    be reached, or refuses the token. A request that may or may not have arrived raises
    `OutcomeUnknown`.

    Args:
        base_url: where the API is, "http://127.0.0.1:8000".
        token: the server's bearer token; it is shown nowhere.
        retry_for: seconds in which a broken connection is tried again.

    Raises:
        InvalidRequest: if `base_url` is no http(s) URL.
        MissingExtra: without the packages of the extra `http`.
    """

    def __init__(
        self, base_url: str, *, token: str | None = None, retry_for: float = 30.0
    ) -> None:
        self._connection = HttpConnection(base_url, token, retry_for)
        self.directory = HttpRuntimeDirectory(self._connection)
        """The companion, over the same connection."""

    def __repr__(self) -> str:
        return f"HttpActorClient({self._connection.server!r})"

    def close(self) -> None:
        """End the connection, from any thread; idempotent. Turns go on."""
        self._connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.get_running_loop().run_in_executor(None, self.close)

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
        timeout, metadata = within_turn(timeout, metadata)
        name = uuid.uuid4().hex if message_id is None else message_id
        body = {
            "actor_id": str(actor_id),
            "method": method,
            "params": params,
            "message_id": name,
            "when_busy": when_busy,
            "metadata": None if metadata is None else dict(metadata),
        }
        size = len(encode({**body, "timeout": timeout}, "params"))
        if size > protocol.LARGEST_REQUEST:
            raise TooLarge("the request", size, protocol.LARGEST_REQUEST)
        loop = asyncio.get_running_loop()
        began = time.monotonic()
        # An invalid timeout is refused by the server.
        bound = timeout if isinstance(timeout, int | float) and timeout > 0 else None

        def make_body() -> bytes:
            if bound is None:
                return encode({**body, "timeout": timeout})
            left = max(began + bound - time.monotonic(), 0.001)
            return encode({**body, "timeout": left})

        try:
            async with asyncio.timeout_at(loop.time() + bound if bound else None):
                answer = await self._connection.post(
                    protocol.REQUESTS, make_body, actor_id
                )
        except (
            AgentRuntimeError
        ):  # the server's DeadlineExceeded is a TimeoutError, too
            raise
        except TimeoutError:
            raise DeadlineExceeded("sending the request", bound or 0.0) from None
        except TransientError as error:
            if error.sent:
                raise OutcomeUnknown(actor_id, name) from error
            raise self._connection.remote_error(error) from error
        return HttpResponseHandle(self._connection, actor_id, answer["message_id"])

    async def get_response(
        self, actor_id: ActorId, message_id: str
    ) -> ActorResponseHandle:
        """See `IActorClient.get_response`."""
        return HttpResponseHandle(self._connection, actor_id, message_id)

    async def cancel(self, actor_id: ActorId, message_id: str) -> bool:
        """See `IActorClient.cancel`."""
        return await _cancel(self._connection, actor_id, message_id)

    def watch_actor(
        self, actor_id: ActorId, after: Cursor | None = None
    ) -> AsyncIterator[TurnUpdate]:
        """See `IActorClient.watch_actor`."""
        connection = self._connection

        async def producer(buffer: StreamBuffer[TurnUpdate]) -> None:
            cursor = None if after is None else str(after)

            def query() -> dict[str, str]:
                query = {"actor_id": str(actor_id)}
                return query if cursor is None else {**query, "after": cursor}

            turns = connection.events(protocol.TURNS, query, resumes=True)
            async with aclosing(turns):
                async for kind, data in turns:
                    if kind == "cursor":
                        cursor = str(data)
                    elif kind == "turn":
                        update = protocol.TURN_UPDATE.validate_python(data)
                        cursor = str(update.cursor)
                        await buffer.put(update)

        return connection.stream(producer)


async def _cancel(
    connection: HttpConnection, actor_id: ActorId, message_id: str
) -> bool:
    # If sent twice, the second answer would be about a turn that was just cancelled.
    body = encode({"actor_id": str(actor_id), "message_id": message_id})
    answer = await connection.request(
        "POST", protocol.CANCEL, repeatable=False, body=body
    )
    return answer["cancelled"]


class HttpResponseHandle(ActorResponseHandle):
    """The handle of a request to an actor behind an HTTP API."""

    def __init__(
        self, connection: HttpConnection, actor_id: ActorId, message_id: str
    ) -> None:
        self._connection = connection
        self.actor_id = actor_id
        self.message_id = message_id
        self._response: ActorResponseMessage | None = None

    def __repr__(self) -> str:
        return f"<request {self.message_id} to {self.actor_id}>"

    @property
    def _query(self) -> dict[str, str]:
        return {"actor_id": str(self.actor_id), "message_id": self.message_id}

    async def get_response(self) -> ActorResponseMessage:
        """See `ActorResponseHandle.get_response`."""
        query = {**self._query, "wait": str(protocol.LONGEST_WAIT)}
        while self._response is None:
            answer = await self._connection.request(
                "GET", protocol.RESPONSE, repeatable=True, query=query
            )
            if answer["status"] != RequestStatus.PENDING:
                return self._final(answer)
        return self._response

    def _final(self, answer: JsonValue) -> ActorResponseMessage:
        status, data, at = RequestStatus(answer["status"]), answer["data"], answer["at"]
        response = ActorResponseMessage(
            self.message_id, self.actor_id, status, data, at
        )
        self._response = response if response.status.is_final else None
        return response

    def watch_updates(
        self, after: int | None = None
    ) -> AsyncIterator[ActorResponseMessage]:
        """See `ActorResponseHandle.watch_updates`."""

        async def producer(buffer: StreamBuffer[ActorResponseMessage]) -> None:
            seen = after

            def query() -> dict[str, str]:
                return (
                    self._query if seen is None else {**self._query, "after": str(seen)}
                )

            updates = self._connection.events(protocol.UPDATES, query, resumes=True)
            async with aclosing(updates):
                async for kind, data in updates:
                    if kind == "response":
                        await buffer.put(self._final(data))
                        return
                    seen = data["sequence"]
                    await buffer.put(self._update(data))

        return self._connection.stream(producer)

    def _update(self, data: JsonValue) -> ActorResponseMessage:
        status = RequestStatus.PENDING
        return ActorResponseMessage(self.message_id, self.actor_id, status, data)

    async def cancel(self) -> bool:
        """See `ActorResponseHandle.cancel`."""
        return await _cancel(self._connection, self.actor_id, self.message_id)


class HttpRuntimeDirectory(RuntimeDirectory):
    """The directory behind an HTTP API; `HttpActorClient.directory` is one.

    Beside what `RuntimeDirectory` says, its methods raise `RemoteError`. A method that is
    not idempotent is not tried again once it may have arrived. A watch of events that
    breaks ends with `RemoteError`: the events that were missed are not known.
    """

    def __init__(self, connection: HttpConnection) -> None:
        self._connection = connection

    def __repr__(self) -> str:
        return f"HttpRuntimeDirectory({self._connection.server!r})"

    async def _ask(self, verb: str, **arguments: object) -> Any:
        known = protocol.VERBS[verb]
        given = known.arguments.model_construct(**cast("dict[str, Any]", arguments))
        answer = await self._connection.request(
            "POST",
            protocol.VERB + verb,
            repeatable=verb in protocol.REPEATABLE,
            body=given.model_dump_json().encode(),
        )
        return known.read_result(answer)

    async def actor_types(self) -> tuple[ActorTypeInfo, ...]:
        """See `RuntimeDirectory.actor_types`."""
        return await self._ask("actor_types")

    async def list_actors(
        self,
        type_name: str | None = None,
        *,
        after: str | None = None,
        limit: int = 200,
    ) -> Page[ActorSummary]:
        """See `RuntimeDirectory.list_actors`."""
        return await self._ask(
            "list_actors", type_name=type_name, after=after, limit=limit
        )

    async def read_actor(
        self, actor_id: ActorId, *, before: int | None = None, limit: int = 50
    ) -> ActorView:
        """See `RuntimeDirectory.read_actor`."""
        return await self._ask(
            "read_actor", actor_id=actor_id, before=before, limit=limit
        )

    async def delete_actor(self, actor_id: ActorId) -> bool:
        """See `RuntimeDirectory.delete_actor`."""
        return await self._ask("delete_actor", actor_id=actor_id)

    async def withdraw(self, actor_id: ActorId, message_id: str) -> bool:
        """See `RuntimeDirectory.withdraw`."""
        return await self._ask("withdraw", actor_id=actor_id, message_id=message_id)

    async def run_again(self, actor_id: ActorId, message_id: str) -> str:
        """See `RuntimeDirectory.run_again`."""
        return await self._ask("run_again", actor_id=actor_id, message_id=message_id)

    async def discard(self, actor_id: ActorId, message_id: str) -> bool:
        """See `RuntimeDirectory.discard`."""
        return await self._ask("discard", actor_id=actor_id, message_id=message_id)

    async def dead_letters(
        self,
        type_name: str | None = None,
        *,
        after: str | None = None,
        limit: int = 200,
    ) -> Page[DeadLetterInfo]:
        """See `RuntimeDirectory.dead_letters`."""
        return await self._ask(
            "dead_letters", type_name=type_name, after=after, limit=limit
        )

    async def requeue(self, actor_id: ActorId, message_id: str) -> str:
        """See `RuntimeDirectory.requeue`."""
        return await self._ask("requeue", actor_id=actor_id, message_id=message_id)

    async def revive(self, actor_id: ActorId) -> bool:
        """See `RuntimeDirectory.revive`."""
        return await self._ask("revive", actor_id=actor_id)

    async def list_conversations(
        self,
        type_name: str | None = None,
        *,
        after: str | None = None,
        limit: int = 200,
    ) -> Page[ConversationInfo]:
        """See `RuntimeDirectory.list_conversations`."""
        page = {"type_name": type_name, "after": after, "limit": limit}
        return await self._ask("list_conversations", **page)

    async def rename(self, actor_id: ActorId, name: str | None) -> None:
        """See `RuntimeDirectory.rename`."""
        await self._ask("rename", actor_id=actor_id, name=name)

    async def disallow_tool(self, actor_id: ActorId, tool: str) -> bool:
        """See `RuntimeDirectory.disallow_tool`."""
        return await self._ask("disallow_tool", actor_id=actor_id, tool=tool)

    async def fork(
        self,
        actor_id: ActorId,
        *,
        at: str | None = None,
        before: str | None = None,
        to: ActorId | None = None,
    ) -> ActorId:
        """See `RuntimeDirectory.fork`."""
        return await self._ask("fork", actor_id=actor_id, at=at, before=before, to=to)

    async def import_turns(
        self,
        actor_id: ActorId,
        turns: Sequence[TurnView],
        name: str | None = None,
        discarded: Sequence[str] = (),
    ) -> None:
        """See `RuntimeDirectory.import_turns`."""
        what = {"turns": turns, "name": name, "discarded": discarded}
        await self._ask("import_turns", actor_id=actor_id, **what)

    async def health(self) -> Health:
        """See `RuntimeDirectory.health`."""
        return await self._ask("health")

    def watch_events(self) -> AsyncIterator[tuple[RuntimeEvent, ...]]:
        """See `RuntimeDirectory.watch_events`."""
        connection = self._connection

        async def producer(buffer: StreamBuffer[tuple[RuntimeEvent, ...]]) -> None:
            batches = connection.events(protocol.EVENTS, dict, resumes=False)
            async with aclosing(batches):
                async for _, data in batches:
                    events = map(protocol.event_from_json, data)
                    known = tuple(one for one in events if one is not None)
                    if known:
                        await buffer.put(known)

        return connection.stream(producer)
