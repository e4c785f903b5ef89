"""What a directory shows of a runtime's actors; runs on the runtime's loop."""

import weakref
from collections.abc import Callable

from agent_runtime_nb._base.json_codec import turn_view
from agent_runtime_nb.exceptions import ActorBeingDeleted
from agent_runtime_nb.runtime.catalog import Catalog
from agent_runtime_nb.runtime.cell import ActorCell
from agent_runtime_nb.runtime.feed import Feed
from agent_runtime_nb.runtime.forks import conversation_info
from agent_runtime_nb.runtime.reporter import (
    accepted_data,
    as_lost,
    ended_data,
    is_progress,
    last_sequence,
    replay,
    update,
)
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    Cursor,
    Page,
    TurnUpdate,
)
from agent_runtime_nb.runtime_directory import (
    ActorSummary,
    ActorView,
)
from agent_runtime_nb.runtime_events import (
    EVENT_KINDS,
    ActorDeleted,
    RuntimeEvent,
    TurnProgressed,
)
from agent_runtime_nb.storage_abstractions import (
    TurnRecord,
)

_FEED_LIMIT = 2000
_PAGE = 200
_END_OF_TURN = 2**53  # a sequence that no update has


async def list_actors(
    actors: Catalog, type_name: str | None, after: str | None, limit: int
) -> Page[ActorSummary]:
    """A page of stored actors with what is known of those in memory."""
    page = await actors.list_actors(type_name, after=after, limit=limit)
    now = actors.environment.clock()
    items = tuple(_summary(actors, one, now) for one in page.items)
    return Page(items, page.next)


def _summary(actors: Catalog, actor_id: ActorId, now: float) -> ActorSummary:
    cell = actors.find(actor_id)
    if actor_id in actors.quarantined:
        return ActorSummary(actor_id, "quarantined")
    if cell is None:
        return ActorSummary(actor_id, "stored")
    running, waiting = cell.running, cell.waiting
    activity = "running" if running else "waiting" if waiting else "idle"
    started = None if running is None else running.started_at
    return ActorSummary(
        actor_id,
        activity,
        waiting=waiting,
        turns=cell.position,
        message_id=None if running is None else running.message_id,
        running_for=None if started is None else now - started,
        last_latency=cell.report.latency,
        last_status=cell.report.last_status,
    )


async def read_actor(
    actors: Catalog, actor_id: ActorId, before: int | None, limit: int
) -> ActorView:
    """The newest ended turns of an actor, or those before a position, and the open."""
    cell = actors.find(actor_id)
    open_records = {} if cell is None else _open_records(cell)
    running = None if cell is None else cell.running
    # What is open now is read before what is stored: a turn that ends meanwhile may be
    # seen twice, never not at all.
    records = await actors.storage.read_turns(
        actor_id, before=before, limit=limit + len(open_records) + 1
    )
    views = {record.position: turn_view(record) for record in records}
    ended = [view for view in views.values() if view.status.is_final]
    shown = ended[-limit:] if limit else []
    more = len(ended) > len(shown)
    # Being accepted or just ended here: open in the store, and so for the view.
    for record in records:
        if not record.status.is_final:
            open_records.setdefault(record.position, record)
    open_views = {at: turn_view(one) for at, one in open_records.items()}
    now_running = open_views.pop(running.position, None) if running else None
    info = None if before is not None else await conversation_info(actors, actor_id)
    return ActorView(
        actor_id=actor_id,
        turns=tuple(shown),
        running=now_running,
        waiting=tuple(open_views[at] for at in sorted(open_views)),
        cursor=_cursor(records, open_records),
        more=more,
        info=info,
    )


def _open_records(cell: ActorCell) -> dict[int, TurnRecord]:
    return {
        turn.position: TurnRecord(
            position=turn.position,
            message_id=turn.message_id,
            attempts=turn.attempts,
            body=turn.body,
            accepted_at=turn.accepted_at,
        )
        for turn in cell.open_turns()
    }


def _cursor(records: list[TurnRecord], open_records: dict[int, TurnRecord]) -> Cursor:
    if open_records:
        return Cursor(min(open_records), -1)
    return Cursor(records[-1].position if records else 0, _END_OF_TURN)


async def delete_actor(actors: Catalog, actor_id: ActorId) -> bool:
    """Cancel what is open, drop the actor, delete what it has stored."""
    cell = actors.find(actor_id)
    if cell is None:
        state = await actors.storage.read_state(actor_id, ())
        if state.epoch == 0 and state.etag is None:
            return False
        cell = actors.adopt(actor_id)
    await cell.ready()
    cell.refuse_requests(ActorBeingDeleted(actor_id))
    try:
        for turn in list(cell.open.values()):
            cell.cancel(turn, "cancelled")
        for turn in list(cell.open.values()):
            if (ended := turn.wait()) is not None:
                await ended
    finally:
        cell.abandon(ActorBeingDeleted(actor_id))
        actors.drop_logs(actor_id)
    deleted = await actors.storage.delete_state(actor_id, epoch=cell.epoch)
    actors.revive(actor_id)  # what comes under this name is another one
    if actors.listeners.wants(ActorDeleted):
        actors.listeners.tell(
            ActorDeleted(
                type_name=actor_id.type_name,
                instance_id=actor_id.instance_id,
                at=actors.environment.wall_clock(),
            )
        )
    return deleted


async def open_feed(
    actors: Catalog, actor_id: ActorId, after: Cursor | None
) -> tuple[Feed[TurnUpdate], list[TurnUpdate]]:
    """A feed of an actor, and the updates that come before its first item."""
    feed = Feed(_FEED_LIMIT, is_progress, as_lost)
    actors.add_feed(actor_id, feed)
    updates: list[TurnUpdate] = []
    open_positions: set[int] = set()
    cell = actors.find(actor_id)
    for turn in [] if cell is None else cell.open_turns():
        same = after is not None and after.turn == turn.position
        updates += replay(turn, after.sequence if after and same else -1)
        open_positions.add(turn.position)
    if after is None:
        return feed, updates
    earlier: list[TurnUpdate] = []
    for record in await _turns_from(actors, actor_id, after.turn):
        known = record.position == after.turn and after.sequence == _END_OF_TURN
        if record.status.is_final and not known | (record.position in open_positions):
            earlier += _ended(actors, actor_id, record, after)
    return feed, earlier + updates


async def _turns_from(
    actors: Catalog, actor_id: ActorId, position: int
) -> list[TurnRecord]:
    found: list[TurnRecord] = []
    before: int | None = None
    while True:
        page = await actors.storage.read_turns(actor_id, before=before, limit=_PAGE)
        found = [one for one in page if one.position >= position] + found
        if len(page) < _PAGE or page[0].position <= position:
            return found
        before = page[0].position


def _ended(
    actors: Catalog, actor_id: ActorId, record: TurnRecord, after: Cursor
) -> list[TurnUpdate]:
    """What a resumed watch is told of a turn that ended meanwhile."""
    kept = actors.kept_turn(actor_id, record.message_id)
    data = ended_data(record.status, record.result, record.ended_at or 0.0)
    if kept is not None:  # its progress is still there
        seen = after.sequence if record.position == after.turn else -1
        return [
            *replay(kept, seen),
            update(kept, "ended", last_sequence(kept), data),
        ]
    cursor, message_id = Cursor(record.position, _END_OF_TURN), record.message_id
    updates: list[TurnUpdate] = []
    if record.body is not None:
        body = accepted_data(record.body, record.accepted_at)
        updates.append(TurnUpdate(cursor, "accepted", message_id, body))
    updates.append(TurnUpdate(cursor, "ended", message_id, data))
    return updates


class EventFeed:
    """A listener that collects events for one watcher, as long as that lives."""

    kinds = frozenset(EVENT_KINDS)

    def __init__(self, feed: Feed[RuntimeEvent]) -> None:
        self._feed = weakref.ref(feed)
        self.remove: Callable[[], None] = lambda: None

    def on_event(self, event: RuntimeEvent) -> None:
        """Collect an event."""
        feed = self._feed()
        if feed is None:
            self.remove()
        else:
            feed.push(event)


def open_event_feed(
    actors: Catalog,
) -> tuple[Feed[RuntimeEvent], list[RuntimeEvent]]:
    """A feed of everything that happens from now on."""
    feed: Feed[RuntimeEvent] = Feed(_FEED_LIMIT, _is_progress)
    actors.add_event_feed(feed)
    listener = EventFeed(feed)
    listener.remove = actors.listeners.add(listener)
    return feed, []


def _is_progress(event: RuntimeEvent) -> bool:
    return isinstance(event, TurnProgressed)
