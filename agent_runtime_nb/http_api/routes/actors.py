"""The routes that `HttpActorClient` talks to: any actor, any method, every verb.

They carry `IActorClient` and `RuntimeDirectory` as they are, for clients of this package;
other programs use the other routes. Ids are in the query or in
the body and never in the path, as they may contain anything.

A client may lose its connection at any moment and go on: a request is sent again with
its message id, an answer is asked for again, streams have cursors.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, ValidationError

from agent_runtime_nb.exceptions import (
    AgentRuntimeError,
    InvalidActorId,
    InvalidRequest,
    LoopBlocked,
)
from agent_runtime_nb.http_api.problems import Problem, Refused, problem_of
from agent_runtime_nb.http_api.sse import EventStream, StreamSlots
from agent_runtime_nb.http_client import protocol
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorResponseHandle,
    ActorResponseMessage,
    Cursor,
    IActorClient,
    JsonValue,
    RequestStatus,
)
from agent_runtime_nb.runtime_directory import RuntimeDirectory

VERB_TIMEOUT = 20.0
"""Seconds in which the runtime must answer a question of the directory."""


class RequestIn(BaseModel):
    """A request to an actor; the client checks what is in it."""

    model_config = ConfigDict(extra="forbid")

    actor_id: str
    method: Any
    params: Any = None
    message_id: Any = None
    when_busy: Any = "queue"
    timeout: Any = None
    metadata: Any = None


class CancelIn(BaseModel):
    """The request to cancel."""

    model_config = ConfigDict(extra="forbid")

    actor_id: str
    message_id: str


class _ActorRoute(APIRoute):
    """Answers errors with their attributes, so that the client can raise them again."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # pyright: ignore[reportIncompatibleMethodOverride] - not annotated as a coroutine there
        handle = super().get_route_handler()

        async def handle_with_facts(request: Request) -> Response:
            try:
                return await handle(request)
            except AgentRuntimeError as error:
                return _problem(error).response()

        return handle_with_facts


def actor_routes(
    client: IActorClient, directory: RuntimeDirectory, slots: StreamSlots
) -> APIRouter:
    """The routes, over any client and any directory; they count as streams, too."""
    actors = _ActorRoutes(client, directory, slots)
    routes = APIRouter(route_class=_ActorRoute, include_in_schema=False)
    routes.add_api_route(protocol.REQUESTS, actors.send, methods=["POST"])
    routes.add_api_route(protocol.CANCEL, actors.cancel, methods=["POST"])
    routes.add_api_route(protocol.RESPONSE, actors.read_response)
    routes.add_api_route(protocol.UPDATES, actors.watch_updates)
    routes.add_api_route(protocol.TURNS, actors.watch_turns)
    routes.add_api_route(protocol.EVENTS, actors.watch_events)
    routes.add_api_route(protocol.VERB + "{verb}", actors.ask, methods=["POST"])
    return routes


class _ActorRoutes:
    def __init__(
        self, client: IActorClient, directory: RuntimeDirectory, slots: StreamSlots
    ) -> None:
        self._client = client
        self._directory = directory
        self._slots = slots

    # --- the client

    async def send(self, body: RequestIn) -> Response:
        """Send a request; 202 with its id once it is stored."""
        handle = await self._client.send_request(
            _actor_id(body.actor_id),
            body.method,
            body.params,
            body.message_id,
            when_busy=body.when_busy,
            timeout=body.timeout,
            metadata=body.metadata,
        )
        return _json({"message_id": handle.message_id}, 202)

    async def cancel(self, body: CancelIn) -> Response:
        """Cancel a request."""
        actor_id = _actor_id(body.actor_id)
        cancelled = await self._client.cancel(actor_id, body.message_id)
        return _json({"cancelled": cancelled})

    async def read_response(
        self,
        actor_id: str,
        message_id: str,
        wait: Annotated[float, Query(ge=0, le=protocol.LONGEST_WAIT)] = 0.0,
    ) -> Response:
        """The final response, or "pending" if there is none within `wait` seconds."""
        handle = await self._handle(actor_id, message_id)
        try:
            async with asyncio.timeout(wait):
                response = await handle.get_response()
        except AgentRuntimeError:  # some are TimeoutErrors, too
            raise
        except TimeoutError:
            return _json({"status": RequestStatus.PENDING})
        return _json(_final(response))

    async def watch_updates(
        self, actor_id: str, message_id: str, after: int | None = None
    ) -> Response:
        """The updates of a request as `update` events, then `response`."""
        handle = await self._handle(actor_id, message_id)
        return self._stream(_updates(handle, after))

    async def watch_turns(self, actor_id: str, after: str | None = None) -> Response:
        """`TurnUpdate`s as events; the first event has the cursor to resume from."""
        watched = _actor_id(actor_id)
        return self._stream(self._turns(watched, _cursor(after)))

    async def _turns(
        self, actor_id: ActorId, after: Cursor | None
    ) -> AsyncGenerator[bytes, None]:
        if after is None:
            # Watches the same updates as None does, but can be resumed from.
            after = (await self._directory.read_actor(actor_id, limit=1)).cursor
        yield _event("cursor", orjson.dumps(str(after)))
        async for update in self._client.watch_actor(actor_id, after):
            yield _event("turn", protocol.TURN_UPDATE.dump_json(update))

    async def _handle(self, actor_id: str, message_id: str) -> ActorResponseHandle:
        return await self._client.get_response(_actor_id(actor_id), message_id)

    # --- the directory

    async def watch_events(self) -> Response:
        """What happens in the runtime, in batches."""
        return self._stream(self._events())

    async def _events(self) -> AsyncGenerator[bytes, None]:
        async for batch in self._directory.watch_events():
            events = [protocol.event_to_json(event) for event in batch]
            yield _event("events", orjson.dumps(events))

    async def ask(self, verb: str, request: Request) -> Response:
        """Ask the directory; the body has the arguments by name."""
        known = protocol.VERBS.get(verb)
        if known is None:
            detail = f"this server's directory has no verb {verb!r}"
            raise Refused(Problem(404, "unknown-verb", detail))
        try:
            given = known.arguments.model_validate_json(await request.body())
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            field = ".".join(map(str, first["loc"])) or "body"
            raise InvalidRequest(field, first["msg"]) from None
        arguments = {name: getattr(given, name) for name in type(given).model_fields}
        try:
            async with asyncio.timeout(VERB_TIMEOUT):
                found = await getattr(self._directory, verb)(**arguments)
        except AgentRuntimeError:  # some are TimeoutErrors, too
            raise
        except TimeoutError:
            raise LoopBlocked(VERB_TIMEOUT) from None
        return _sent(known.result.dump_json(found))

    def _stream(self, frames: AsyncGenerator[bytes, None]) -> EventStream:
        return EventStream(_with_error(frames), self._slots.take(), {})


async def _updates(
    handle: ActorResponseHandle, after: int | None
) -> AsyncGenerator[bytes, None]:
    async for message in handle.watch_updates(after):
        if message.status is RequestStatus.PENDING:
            yield _event("update", orjson.dumps(message.data))
        else:
            yield _event("response", orjson.dumps(_final(message)))


async def _with_error(
    frames: AsyncGenerator[bytes, None],
) -> AsyncGenerator[bytes, None]:
    """The frames; if making them raises, an `error` event is the last."""
    try:
        async for frame in frames:
            yield frame
    except Exception as error:
        yield _event("error", orjson.dumps(_problem(error).body()))
    finally:
        await frames.aclose()


def _event(kind: str, data: bytes) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), data)


def _final(response: ActorResponseMessage) -> JsonValue:
    return {"status": response.status, "data": response.data, "at": response.at}


def _problem(error: Exception) -> Problem:
    problem = problem_of(error)
    if not isinstance(error, AgentRuntimeError):
        return problem
    return replace(problem, more={**problem.more, "facts": protocol.facts_of(error)})


def _actor_id(text: str) -> ActorId:
    try:
        return ActorId.parse(text)
    except InvalidActorId as error:
        raise InvalidRequest("actor_id", str(error)) from None


def _cursor(text: str | None) -> Cursor | None:
    try:
        return None if text is None else Cursor.parse(text)
    except ValueError as error:
        raise InvalidRequest("after", str(error)) from None


def _json(body: JsonValue, status: int = 200) -> Response:
    return _sent(orjson.dumps(body), status)


def _sent(body: bytes, status: int = 200) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(body, status, headers, media_type="application/json")
