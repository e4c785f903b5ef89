"""How a client gets the answer of a turn: at once, as an event stream, or later.

A turn belongs to its conversation, not to the HTTP request that asked for it: a client
that goes away, a stream that breaks and a server that stops leave the turn alone. Its
answer can be asked for again with the same `Idempotency-Key`, or where `Location` says.

The events of a turn are `update` (`{"sequence", "progress"}`, its id is the sequence),
`lost` (`{"first", "last"}`: updates that are no longer kept), and at the end `response`
(what the plain answer would be) or `error` (a problem). The id of `response`, and of
the `error` that a failed turn is, is `end`: who has seen it has seen everything, and
resuming after it is answered 204, which also stops a browser's EventSource. An `error`
of the stream itself has no id: the client can resume after the last event it has.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Self

from fastapi import Header, Request, Response
from pydantic import Field

from agent_runtime_nb.exceptions import AgentRuntimeError
from agent_runtime_nb.http_api.lookup import path_of
from agent_runtime_nb.http_api.problems import problem_of, stopping
from agent_runtime_nb.http_api.sse import EventStream, StreamSlots, frame
from agent_runtime_nb.http_api.turn_response import (
    final_response,
    pending_response,
    problem_in,
    request_id_header,
    turn_body,
)
from agent_runtime_nb.runtime_abstractions import (
    ActorResponseHandle,
    RequestStatus,
)

END = "end"
"""The id of a final event."""

EventId = Annotated[str, Field(pattern=rf"^({END}|-1|[0-9]{{1,15}})$")]
"""An id of an event."""

LastEventId = Annotated[
    EventId | None,
    Header(
        description="Go on after this event of an earlier stream of the same request.",
    ),
]

Prefer = Annotated[
    str | None,
    Header(
        description="`respond-async`: 202 at once, the answer is at `Location`; "
        "`respond-async, wait=5`: if it has not ended in 5 seconds."
    ),
]

_LONGEST_WAIT = 3600.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a client wants the answer.

    Attributes:
        events: as an event stream.
        after: the last event that the client has, as its id.
        background: answer 202 if the turn has not ended after `wait` seconds.
        wait: see `background`.
    """

    events: bool = False
    after: str | None = None
    background: bool = False
    wait: float = 0.0

    @classmethod
    def of(
        cls,
        accept: str,
        *,
        stream: bool = False,
        after: str | None = None,
        prefer: str | None = None,
    ) -> Self:
        """Read it from the headers; `stream` asks for events as well."""
        events = stream or accepts_events(accept)
        if prefer is None:
            return cls(events, after)
        preferences = [word.strip().lower() for word in prefer.split(",")]
        waits = [
            re.fullmatch(r"wait\s*=\s*\"?(\d{1,9})\"?", word) for word in preferences
        ]
        seconds = next((float(found[1]) for found in waits if found), 0.0)
        return cls(
            events=events,
            after=after,
            background="respond-async" in preferences,
            wait=min(seconds, _LONGEST_WAIT),
        )


def accepts_events(accept: str) -> bool:
    """Whether the client accepts an event stream rather than JSON."""
    return "text/event-stream" in accept and "application/json" not in accept


async def deliver(
    request: Request,
    slots: StreamSlots,
    send: Callable[[], Awaitable[ActorResponseHandle]],
    delivery: Delivery,
) -> Response:
    """Send a request and give its answer as `delivery` says.

    Raises:
        Refused: if a stream is wanted and too many are open; nothing was sent then.
    """
    if delivery.background:
        handle = await send()
        if not delivery.wait or not await _ends_within(handle, delivery.wait):
            return accepted_response(request, handle)
        return await _final_response(handle)
    if delivery.events:
        return await stream_response(slots, send, delivery.after)
    return await _final_response(await send())


async def _final_response(handle: ActorResponseHandle) -> Response:
    try:
        message = await handle.get_response()
    except AgentRuntimeError as error:
        return problem_of(error).response(request_id_header(handle))
    except asyncio.CancelledError:
        # The server stops and has waited long enough; the turn goes on.
        return stopping().response(request_id_header(handle))
    return final_response(handle, message)


async def _ends_within(handle: ActorResponseHandle, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await handle.get_response()
    except AgentRuntimeError:  # some are TimeoutErrors, too
        pass  # it ended with this; `_final_response` reports it
    except TimeoutError:
        return False
    return True


def accepted_response(request: Request, handle: ActorResponseHandle) -> Response:
    """202, with the path of the request in `Location`."""
    location = path_of(request, handle.actor_id, "requests", handle.message_id)
    headers = {"Location": location, "Preference-Applied": "respond-async"}
    return pending_response(handle, 202, headers)


async def stream_response(
    slots: StreamSlots,
    send: Callable[[], Awaitable[ActorResponseHandle]],
    after: str | None,
) -> Response:
    """The events of a request after the one with the id `after`.

    Raises:
        Refused: if too many streams are open; nothing was sent then.
    """
    if after == END:
        return Response(status_code=204)
    slot = slots.take()
    try:
        handle = await send()
    except BaseException:
        slot.release()
        raise
    sequence = None if after is None else int(after)
    return EventStream(turn_frames(handle, sequence), slot, request_id_header(handle))


async def turn_frames(
    handle: ActorResponseHandle, after: int | None
) -> AsyncGenerator[bytes, None]:
    """The events of one request; an error is the last of them."""
    resumed = after is not None
    seen = -1 if after is None else after
    try:
        async for message in handle.watch_updates(after):
            if message.status is RequestStatus.PENDING:
                sequence = int(message.data["sequence"])
                if sequence > seen + 1:
                    yield _lost(seen + 1, sequence - 1)
                seen, resumed = sequence, False
                yield frame("update", sequence, message.data)
                continue
            if resumed and not await _has_no_more(handle, seen):
                yield _lost(seen + 1, None)
            problem = problem_in(handle, message)
            if problem is None:
                yield frame("response", END, turn_body(handle, message))
            else:
                yield frame("error", END, problem.body())
    except Exception as error:
        yield frame("error", None, problem_of(error).body())


def _lost(first: int, last: int | None) -> bytes:
    return frame("lost", last, {"first": first, "last": last})


async def _has_no_more(handle: ActorResponseHandle, seen: int) -> bool:
    """Whether a turn that has ended has no update after `seen`.

    The log of updates is kept for a while after the turn. As long as it is there, a log
    without anything after `seen` means that nothing is missing; later this is unknown,
    and the answer is False.
    """
    async for message in handle.watch_updates(seen - 1 if seen > 0 else None):
        return message.status is RequestStatus.PENDING
    return False
