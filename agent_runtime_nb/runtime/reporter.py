"""Reports what happens to one actor: update logs, events for listeners, watchers' feeds.

Each is made only if somebody wants it.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Literal, Protocol
from weakref import WeakSet

from agent_runtime_nb._base.json_codec import (
    decode,
    decode_body,
    describe_error,
    encode,
)
from agent_runtime_nb.runtime.feed import Feed
from agent_runtime_nb.runtime.listeners import Listeners
from agent_runtime_nb.runtime.mailbox import Mailbox
from agent_runtime_nb.runtime.turn import Turn
from agent_runtime_nb.runtime.turn_log import TurnLog
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    Cursor,
    Encoded,
    JsonValue,
    RequestStatus,
    TurnUpdate,
)
from agent_runtime_nb.runtime_events import (
    ActorActivated,
    ActorPassivated,
    ActorQuarantineBegan,
    ActorRestarted,
    RequestAccepted,
    TurnEnded,
    TurnProgressed,
    TurnStarted,
)
from agent_runtime_nb.settings import Environment, RuntimeSettings

UpdateKind = Literal["accepted", "started", "progress", "ended", "lost"]
ActorFeeds = dict[ActorId, "WeakSet[Feed[TurnUpdate]]"]


class ReportServices(Protocol):
    """What a report needs of the runtime."""

    @property
    def settings(self) -> RuntimeSettings:
        """The bounds of the runtime."""
        ...

    @property
    def environment(self) -> Environment:
        """Where time comes from."""
        ...

    @property
    def listeners(self) -> Listeners:
        """The listeners of runtime events."""
        ...

    @property
    def feeds(self) -> ActorFeeds:
        """The watchers of each actor."""
        ...

    def keep_log(self, turn: Turn) -> None:
        """Keep the update log of an ended turn for a while."""
        ...


def update(
    turn: Turn, kind: UpdateKind, sequence: int = -1, data: JsonValue = None
) -> TurnUpdate:
    """One item of a feed."""
    return TurnUpdate(Cursor(turn.position, sequence), kind, turn.message_id, data)


def last_sequence(turn: Turn) -> int:
    """The number of the turn's last progress, -1 before the first."""
    return -1 if turn.log is None else turn.log.last


def accepted_data(body: Encoded, at: float) -> JsonValue:
    """What a feed tells of a request that was accepted at that time."""
    method, params, metadata = decode_body(body)
    request = {"method": method, "params": params, "metadata": dict(metadata)}
    return {**request, "accepted_at": at}


def ended_data(status: RequestStatus, result: Encoded | None, at: float) -> JsonValue:
    """What a feed tells of a turn that ended at that time."""
    data = None if result is None else decode(result)
    return {"status": status.value, "data": data, "ended_at": at}


def replay(turn: Turn, after: int) -> list[TurnUpdate]:
    """What a new watcher is told of an open turn whose progress it knows to `after`."""
    updates = [
        update(turn, "accepted", data=accepted_data(turn.body, turn.accepted_at))
    ]
    if turn.started_at is not None:
        updates.append(update(turn, "started"))
    if turn.log is not None:
        found = turn.log.kept(after)
        if after < turn.log.forgotten:
            updates.append(update(turn, "lost", after))
        updates += [update(turn, "progress", n, decode(text)) for n, text in found]
    return updates


def is_progress(item: TurnUpdate) -> bool:
    """Whether a slow watcher can do without it."""
    return item.kind in ("progress", "lost")


def as_lost(item: TurnUpdate) -> TurnUpdate:
    """What a slow watcher is told in place of what it missed."""
    return TurnUpdate(item.cursor, "lost", item.message_id, None)


def _error_type(turn: Turn) -> str | None:
    if turn.status is RequestStatus.COMPLETED or turn.result is None:
        return None
    match decode(turn.result):
        case {"error": {"type": str(name)}}:
            return name
        case _:
            return None


class Reporter:
    """Tells what happens to one actor."""

    __slots__ = ("_actor_id", "_mailbox", "_services", "last_status", "latency")

    def __init__(
        self, actor_id: ActorId, services: ReportServices, mailbox: Mailbox
    ) -> None:
        self._actor_id = actor_id
        self._services = services
        self._mailbox = mailbox
        self.latency: float | None = None  # seconds that the last turn ran
        self.last_status: RequestStatus | None = None

    def retry_after(self) -> float:
        """Seconds after which there may be room in the mailbox."""
        return max(1.0, self.latency or 1.0)

    def _push(self, item: TurnUpdate) -> None:
        for feed in self._services.feeds.get(self._actor_id, ()):
            feed.push(item)

    def _watched(self) -> bool:
        feeds = self._services.feeds
        return bool(feeds) and self._actor_id in feeds

    def accepted(self, turn: Turn) -> None:
        """A request is stored and in the mailbox."""
        listeners = self._services.listeners
        if listeners.wants(RequestAccepted):
            listeners.tell(
                RequestAccepted(
                    type_name=self._actor_id.type_name,
                    instance_id=self._actor_id.instance_id,
                    at=turn.accepted_at,
                    message_id=turn.message_id,
                    position=turn.position,
                    method=decode_body(turn.body)[0],
                    waiting=len(self._mailbox),
                )
            )
        if self._watched():
            data = accepted_data(turn.body, turn.accepted_at)
            self._push(update(turn, "accepted", data=data))

    def _started_event(self, turn: Turn, metadata: Mapping[str, str]) -> TurnStarted:
        at = self._services.environment.wall_clock()
        return TurnStarted(
            type_name=self._actor_id.type_name,
            instance_id=self._actor_id.instance_id,
            at=at,
            message_id=turn.message_id,
            position=turn.position,
            method=decode_body(turn.body)[0],
            metadata=metadata,
            waited=max(0.0, at - turn.accepted_at),
            waiting=len(self._mailbox),
        )

    def started(self, turn: Turn) -> None:
        """The turn is about to be handed to the actor."""
        listeners = self._services.listeners
        if listeners.wants(TurnStarted):
            listeners.tell(self._started_event(turn, decode_body(turn.body)[2]))
        if self._watched():
            self._push(update(turn, "started"))

    def enter_scope(self, turn: Turn) -> AbstractContextManager[object]:
        """What wraps the turn, entered."""
        listeners = self._services.listeners
        metadata = decode_body(turn.body)[2]
        return listeners.turn_scope(self._started_event(turn, metadata))

    def progress(self, turn: Turn, sequence: int, data: Encoded) -> None:
        """Progress of the running turn.

        Raises:
            ValueError: if the sequence does not grow.
        """
        services = self._services
        if turn.log is None:
            bounds = services.settings
            turn.log = TurnLog(bounds.update_limit, bounds.update_bytes)
        turn.log.append(sequence, data)
        if services.listeners.wants(TurnProgressed):
            services.listeners.tell(
                TurnProgressed(
                    type_name=self._actor_id.type_name,
                    instance_id=self._actor_id.instance_id,
                    at=services.environment.wall_clock(),
                    message_id=turn.message_id,
                    position=turn.position,
                    sequence=sequence,
                    data=decode(data),
                )
            )
        if self._watched():
            self._push(update(turn, "progress", sequence, decode(data)))

    def ended(self, turn: Turn) -> None:
        """The turn's end is stored."""
        services = self._services
        if turn.log is not None:
            services.keep_log(turn)
        if services.listeners.wants(TurnEnded):
            never_ran = turn.started_at is None
            self._tell_ended(turn, None if never_ran else self.latency)
        if self._watched():
            data = ended_data(turn.status, turn.result, turn.ended_at)
            self._push(update(turn, "ended", last_sequence(turn), data))

    def lost(self, turn: Turn, error: BaseException) -> None:
        """It is not known here how the turn ends; the next claim will interrupt it."""
        result = encode({"error": describe_error(error)})
        at = self._services.environment.wall_clock()
        if self._watched():
            said = ended_data(RequestStatus.INTERRUPTED, result, at)
            self._push(update(turn, "ended", last_sequence(turn), said))
        if self._services.listeners.wants(TurnEnded):
            left = Turn(self._actor_id, turn.position, turn.message_id, turn.body)
            left.end(RequestStatus.INTERRUPTED, result, at)
            self._tell_ended(left, None)

    def _tell_ended(self, turn: Turn, duration: float | None) -> None:
        self._services.listeners.tell(
            TurnEnded(
                type_name=self._actor_id.type_name,
                instance_id=self._actor_id.instance_id,
                at=turn.ended_at,
                message_id=turn.message_id,
                position=turn.position,
                status=turn.status.value,
                duration=duration,
                waiting=len(self._mailbox),
                error_type=_error_type(turn),
            )
        )

    def activated(self, started: float) -> None:
        """An actor object was made; `started` is when that began."""
        listeners, environment = self._services.listeners, self._services.environment
        if listeners.wants(ActorActivated):
            listeners.tell(
                ActorActivated(
                    type_name=self._actor_id.type_name,
                    instance_id=self._actor_id.instance_id,
                    at=environment.wall_clock(),
                    duration=environment.clock() - started,
                )
            )

    def quarantined(self, failures: int, error_type: str) -> None:
        """The actor takes no requests until it is revived."""
        listeners = self._services.listeners
        if listeners.wants(ActorQuarantineBegan):
            listeners.tell(
                ActorQuarantineBegan(
                    type_name=self._actor_id.type_name,
                    instance_id=self._actor_id.instance_id,
                    at=self._services.environment.wall_clock(),
                    failures=failures,
                    error_type=error_type,
                )
            )

    def deactivated(self, error: BaseException | None) -> None:
        """An actor object was dropped, after an error or because it was idle."""
        listeners = self._services.listeners
        at = self._services.environment.wall_clock()
        type_name, instance_id = self._actor_id.type_name, self._actor_id.instance_id
        if error is None:
            if listeners.wants(ActorPassivated):
                listeners.tell(
                    ActorPassivated(type_name=type_name, instance_id=instance_id, at=at)
                )
        elif listeners.wants(ActorRestarted):
            listeners.tell(
                ActorRestarted(
                    type_name=type_name,
                    instance_id=instance_id,
                    at=at,
                    error_type=type(error).__name__,
                )
            )
