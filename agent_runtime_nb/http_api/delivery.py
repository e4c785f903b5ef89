"""How the answer of a turn reaches who asked: at once, as events, or later.

A turn belongs to its conversation, not to the HTTP request that asked for it: a client
that goes away, a stream that breaks and a server that stops leave the turn alone. Its
answer can be asked for again with the same `Idempotency-Key`, or where `Location` says.

The events of a turn are `update` (`{"sequence", "progress"}`, its id is the sequence),
`lost` (`{"first", "last"}`: updates that are no longer kept), and at the end `response`
(what the plain answer would be) or `error` (a problem). The id of `response`, and of
the `error` that a failed turn is, is `end`: who has seen it has seen everything, and
resuming after it is answered 204, which also stops a browser's EventSource. An `error`
of the stream itself has no id: the same place can be resumed.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Self

from fastapi import Header, Request, Response
from pydantic import Field

from agent_runtime_nb.exceptions import AgentRuntimeError
from agent_runtime_nb.http_api.answers import (
    answer,
    body_of,
    failure,
    path_of,
    pending,
    request_id,
)
from agent_runtime_nb.http_api.problems import problem_of, stopping
from agent_runtime_nb.http_api.sse import EventStream, StreamSlots, frame
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
    """How the answer is wanted.

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
        events = stream or wants_events(accept)
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


def wants_events(accept: str) -> bool:
    """Whether the client accepts an event stream rather than JSON."""
    return "text/event-stream" in accept and "application/json" not in accept


async def deliver(
    request: Request,
    slots: StreamSlots,
    send: Callable[[], Awaitable[ActorResponseHandle]],
    wish: Delivery,
) -> Response:
    """Send a request and answer as wished; a place for a stream is taken first."""
    if wish.background:
        handle = await send()
        if not wish.wait or not await _ends_within(handle, wish.wait):
            return accepted(request, handle)
        return await _final(handle)
    if wish.events:
        return await stream(slots, send, wish.after)
    return await _final(await send())


async def _final(handle: ActorResponseHandle) -> Response:
    try:
        message = await handle.get_response()
    except AgentRuntimeError as error:
        return problem_of(error).response(request_id(handle))
    except asyncio.CancelledError:
        # The server stops and has waited long enough; the turn goes on.
        return stopping().response(request_id(handle))
    return answer(handle, message)


async def _ends_within(handle: ActorResponseHandle, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await handle.get_response()
    except AgentRuntimeError:  # some are TimeoutErrors, too
        pass  # it ended so, and is told by who asks again
    except TimeoutError:
        return False
    return True


def accepted(request: Request, handle: ActorResponseHandle) -> Response:
    """202, and where the answer will be."""
    there = path_of(request, handle.actor_id, "requests", handle.message_id)
    headers = {"Location": there, "Preference-Applied": "respond-async"}
    return pending(handle, 202, headers)


async def stream(
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
    place = None if after is None else int(after)
    return EventStream(turn_frames(handle, place), slot, request_id(handle))


async def turn_frames(
    handle: ActorResponseHandle, after: int | None
) -> AsyncGenerator[bytes, None]:
    """The events of one request; an error is the last of them."""
    resumed = after is not None
    seen = -1 if after is None else after
    try:
        async for message in handle.watch_updates(after):
            if message.status is RequestStatus.PENDING:
                number = int(message.data["sequence"])
                if number > seen + 1:
                    yield _lost(seen + 1, number - 1)
                seen, resumed = number, False
                yield frame("update", number, message.data)
                continue
            if resumed and not await _had_all(handle, seen):
                yield _lost(seen + 1, None)
            problem = failure(handle, message)
            if problem is None:
                yield frame("response", END, body_of(handle, message))
            else:
                yield frame("error", END, problem.body())
    except Exception as error:
        yield frame("error", None, problem_of(error).body())


def _lost(first: int, last: int | None) -> bytes:
    return frame("lost", last, {"first": first, "last": last})


async def _had_all(handle: ActorResponseHandle, seen: int) -> bool:
    """Whether a turn that has ended has no update after `seen`.

    Its log is kept for a while: as long as there is one, nothing after `seen` in it
    means that nothing is missing. Afterwards nobody knows.
    """
    async for message in handle.watch_updates(seen - 1 if seen > 0 else None):
        return message.status is RequestStatus.PENDING
    return False
