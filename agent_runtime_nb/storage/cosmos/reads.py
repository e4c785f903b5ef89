"""What is read: point reads where the id is known, else queries of one partition.

Reading several documents is not one step for Cosmos DB. The root counts the changes of
values, so it is read before and after them: if it is the same, nothing came between.
"""

from dataclasses import dataclass, field

from agent_runtime_nb._base.tasks import in_groups
from agent_runtime_nb.exceptions import Corrupt, Unavailable
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    Encoded,
    Page,
    RequestStatus,
)
from agent_runtime_nb.storage.cosmos.documents import (
    ROOT_ID,
    Document,
    Root,
    new_root,
    order_after_type,
    order_of,
    order_of_actor,
    partition_of,
    turn_id,
    turn_of,
    value_id,
)
from agent_runtime_nb.storage.cosmos.service import Service
from agent_runtime_nb.storage_abstractions import ActorList, ActorState, TurnRecord

_AT_ONCE = 32  # actors
_TRIES = 50  # each time because somebody has written in between
_OF_VALUES = "c.kind = 'value' AND c.generation = @generation"
_OF_TURNS = "c.kind = 'turn' AND c.generation = @generation"


@dataclass(slots=True)
class Snapshot:
    """Documents of an actor as they were at one moment."""

    root: Root
    etag: str | None
    values: list[Document] = field(default_factory=list[Document])
    turns: list[TurnRecord] = field(default_factory=list[TurnRecord])

    def pairs(self) -> dict[str, Encoded]:
        """The values by their keys."""
        return {one["key"]: one["value"].encode() for one in self.values}


async def read_states(
    service: Service,
    actor_ids: tuple[ActorId, ...],
    keys: tuple[str, ...] | None,
    prefix: str,
) -> list[ActorState]:
    """See `IActorStateStorage.read_states`."""
    if keys is not None:
        keys = tuple(key for key in keys if key.startswith(prefix))

    async def read(actor_id: ActorId) -> ActorState:
        found = await read_snapshot(service, actor_id, keys, prefix=prefix)
        return ActorState(found.pairs(), found.root.etag, found.root.epoch)

    return await in_groups(read, actor_ids, _AT_ONCE)


async def read_snapshot(
    service: Service,
    actor_id: ActorId,
    keys: tuple[str, ...] | None = None,
    *,
    prefix: str = "",
    open_turns: bool = False,
) -> Snapshot:
    """The root, the values asked for and, if asked, open turns.

    The values are those of the named keys, or (None) all whose keys start with `prefix`.
    """
    found = await read_root(service, actor_id)
    for _ in range(_TRIES):
        root = found.root
        wanted = root.values > 0 and (keys is None or bool(keys))
        if not wanted and not (open_turns and root.open):
            return found
        if wanted:
            found.values = await _read_values(service, actor_id, root, keys, prefix)
        if open_turns and root.open:
            found.turns = await _read_open(service, actor_id, root)
        again = await read_root(service, actor_id)
        if again.root.revision == root.revision and again.root.open == root.open:
            return found
        found = again
    raise Unavailable(service.account.location, f"too many write {actor_id} at once")


async def read_root(
    service: Service, actor_id: ActorId, *, within: float | None = None
) -> Snapshot:
    """The root alone, a new one if there is none.

    Raises:
        Corrupt: if it is not what was written.
    """
    stored = await service.read(partition_of(actor_id), ROOT_ID, within=within)
    if stored is None:
        return Snapshot(new_root(actor_id), None)
    try:
        root = Root.of(stored.document)
    except KeyError as error:
        where = service.account.location
        raise Corrupt(where, f"the root of {actor_id} has no {error}") from error
    return Snapshot(root, stored.document["_etag"])


async def _read_values(
    service: Service,
    actor_id: ActorId,
    root: Root,
    keys: tuple[str, ...] | None,
    prefix: str,
) -> list[Document]:
    query = f"SELECT c.id, c.key, c['value'] FROM c WHERE c.pk = @pk AND {_OF_VALUES}"
    if keys is None:
        some = " AND STARTSWITH(c['order'], @prefix)" if prefix else ""
        order = {"prefix": order_of(prefix)} if prefix else {}
        return await service.query(
            partition_of(actor_id), query + some, generation=root.generation, **order
        )
    return await service.query(
        partition_of(actor_id),
        query + " AND c.id IN ({ids})",
        generation=root.generation,
        ids=[value_id(root.generation, key) for key in keys],
    )


async def _read_open(
    service: Service, actor_id: ActorId, root: Root
) -> list[TurnRecord]:
    found = await service.query(
        partition_of(actor_id),
        f"SELECT * FROM c WHERE c.pk = @pk AND {_OF_TURNS} AND c.status = @status "
        "ORDER BY c.position",
        generation=root.generation,
        status=RequestStatus.PENDING.value,
    )
    return [turn_of(document) for document in found]


async def find_turn(
    service: Service, actor_id: ActorId, message_id: str
) -> TurnRecord | None:
    """See `IActorStateStorage.find_turn`."""
    root = (await read_root(service, actor_id)).root
    stored = await service.read(
        partition_of(actor_id), turn_id(root.generation, message_id)
    )
    return None if stored is None else turn_of(stored.document)


async def read_turns(
    service: Service, actor_id: ActorId, before: int | None, limit: int
) -> list[TurnRecord]:
    """See `IActorStateStorage.read_turns`."""
    root = (await read_root(service, actor_id)).root
    if root.next_position == root.first_position or limit <= 0:
        return []
    found = await service.query(
        partition_of(actor_id),
        f"SELECT TOP {int(limit)} * FROM c WHERE c.pk = @pk AND {_OF_TURNS} "
        "AND c.position < @before ORDER BY c.position DESC",
        generation=root.generation,
        before=root.next_position if before is None else before,
    )
    return [turn_of(document) for document in reversed(found)]


async def list_keys(
    service: Service, actor_id: ActorId, prefix: str, after: str | None, limit: int
) -> Page[str]:
    """See `IActorStateStorage.list_keys`."""
    root = (await read_root(service, actor_id)).root
    if not root.values:
        return Page((), None)
    beyond = "" if after is None else "AND c['order'] > @after "
    found: list[str] = await service.query(
        partition_of(actor_id),
        f"SELECT TOP {int(limit) + 1} VALUE c.key FROM c WHERE c.pk = @pk "
        f"AND {_OF_VALUES} AND STARTSWITH(c['order'], @prefix) {beyond}"
        "ORDER BY c['order']",
        generation=root.generation,
        prefix=order_of(prefix),
        after=order_of(after or ""),
    )
    items = tuple(found[:limit])
    return Page(items, items[-1] if len(found) > limit else None)


async def list_actors(
    service: Service,
    type_name: str | None,
    *,
    open_only: bool,
    mark: str | None,
    after: str | None,
    limit: int,
) -> Page[ActorId]:
    """See `IActorStateStorage.list_actors`."""
    conditions = ["c.kind = 'actor'", "c['order'] > @after"]
    conditions.append("c.busy = true" if open_only else "c.listed = true")
    parameters: dict[str, str] = {"after": _start(type_name, after)}
    if type_name is not None:
        conditions.append("c['order'] < @end")
        parameters["end"] = order_after_type(type_name)
    if mark is not None:
        conditions.append("ARRAY_CONTAINS(c.marks, @mark)")
        parameters["mark"] = mark
    listed = ActorList(limit)
    while not listed.is_full:
        count = int(listed.missing)
        found = await service.query(
            None,
            f"SELECT TOP {count} c.type, c.instance, c['order'] FROM c "
            f"WHERE {' AND '.join(conditions)} ORDER BY c['order']",
            **parameters,
        )
        listed.add((one.get("type"), one.get("instance")) for one in found)
        if len(found) < count:
            break
        parameters["after"] = found[-1]["order"]
    return listed.page()


def _start(type_name: str | None, after: str | None) -> str:
    start = order_of_actor(type_name, "") if type_name is not None else ""
    if after is None:
        return start
    after_type, _, after_instance = after.partition("/")
    return max(start, order_of_actor(after_type, after_instance))
