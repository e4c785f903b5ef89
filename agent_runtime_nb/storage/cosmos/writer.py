"""Runs the steps of one actor: what waits goes into one batch, whole or not at all.

The root of an actor that was written or claimed is kept, so that a write needs no read.
If somebody else has written since, Cosmos DB refuses the batch (412); the root is then
read and the steps are decided anew. A step is only ever refused on a root that was read
after its call.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from agent_runtime_nb.exceptions import (
    ActorOwnedElsewhere,
    OutcomeUnknown,
    StaleEpoch,
    StorageError,
    TooLarge,
    Unavailable,
)
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    Encoded,
    RequestStatus,
)
from agent_runtime_nb.storage.cosmos.batch import (
    MOST_OPERATIONS,
    NO_IDS,
    Batch,
    Operation,
    owner_name,
)
from agent_runtime_nb.storage.cosmos.documents import (
    Document,
    Root,
    could_have_seen,
    partition_of,
)
from agent_runtime_nb.storage.cosmos.errors import CosmosRefusal, Unanswered
from agent_runtime_nb.storage.cosmos.hosts import is_alive
from agent_runtime_nb.storage.cosmos.queues import CosmosStep
from agent_runtime_nb.storage.cosmos.reads import read_root, read_snapshot
from agent_runtime_nb.storage.cosmos.service import Service
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    Claim,
    HostInfo,
)

_KEPT_ROOTS = 2000
_RESOLVE_WITHIN = 3.0  # seconds
_TRIES = 50  # of a step, each time because somebody else has written in between
_GROUPED = ("apply", "write_state")

_Written = ActorChange | tuple[dict[str, Encoded], tuple[str, ...], str | None]
_Group = list[_Written]
"""Arguments of `apply` and `write_state`, in call order."""


@dataclass(slots=True)
class _View:
    """What is known of an actor's documents.

    Attributes:
        etag: Cosmos DB's version of the root; None: there is no root.
        value_ids: of all values; None: not read yet.
        known: turns that were accepted before and are wanted again.
        asked: ids of turns of which it is known whether they are known.
    """

    root: Root
    etag: str | None
    value_ids: frozenset[str] | None
    known: dict[str, Document] = field(default_factory=dict[str, Document])
    asked: set[str] = field(default_factory=set[str])


class CosmosWriter:
    """The steps; belongs to the loop of its service.

    Args:
        service: where to.
        host: whose claims they are.
    """

    def __init__(self, service: Service, host: HostInfo) -> None:
        self._service = service
        self._host = host
        self._where = service.account.location
        self._views: OrderedDict[ActorId, _View] = OrderedDict()

    async def run(self, actor_id: ActorId, steps: list[CosmosStep]) -> Sequence[object]:
        """Run the first steps, at least one; an outcome for each that was run.

        `apply` and `write_state` run together, the others alone.
        """
        group = _group_of(steps)
        try:
            if not group:
                return [await self._run_alone(actor_id, steps[0])]
            return await self._write_some(actor_id, group)
        except ActorOwnedElsewhere as refusal:
            return [refusal]
        except Unanswered:
            error: StorageError = OutcomeUnknown(actor_id, steps[0].verb)
        except StorageError as failure:
            error = failure
        self._views.pop(actor_id, None)
        return [error] * max(len(group), 1)

    async def _run_alone(self, actor_id: ActorId, step: CosmosStep) -> object:
        match step:
            case CosmosStep("claim", take_over):
                return await self._claim(actor_id, take_over=take_over)
            case CosmosStep("delete_state", epoch):
                return await self._delete(actor_id, epoch)
            case CosmosStep("trim", keep):
                return await self._trim(actor_id, keep)
            case _:
                raise ValueError(step.verb)

    async def _write_some(self, actor_id: ActorId, group: _Group) -> Sequence[object]:
        try:
            return await self._write(actor_id, group)
        except TooLarge as error:
            if len(group) == 1:
                return [error]
        return await self._write_some(actor_id, group[:1])

    # --- what changes turns and values

    async def _write(self, actor_id: ActorId, steps: _Group) -> Sequence[object]:
        view = self._views.get(actor_id)
        fresh = view is None
        if view is None:
            view = await self._load(actor_id)
        for _ in range(_TRIES):
            if any(map(_names_values, steps)):
                await self._find_values(actor_id, view)
            batch = _batch_on(actor_id, view)
            outcomes = _decide(batch, steps)
            if not fresh and any(isinstance(one, StorageError) for one in outcomes):
                view, fresh = await self._load(actor_id), True
                continue
            if not batch.unsure <= view.asked:
                await self._find_known(actor_id, view, batch.unsure)
                continue
            if not batch.changed:
                return outcomes
            try:
                written = await self._send(actor_id, view, batch)
            except Unanswered:
                self._views.pop(actor_id, None)
                return _all_unknown(actor_id, steps, outcomes, batch.commit)
            if written is None:
                return outcomes
            view, fresh = written, True
        raise Unavailable(self._where, f"too many write {actor_id} at once")

    async def _claim(self, actor_id: ActorId, *, take_over: bool) -> Claim:
        for _ in range(_TRIES):
            view = await self._load(actor_id)
            root = view.root
            if root.owner == self._host.host_id:
                return await self._claimed(actor_id)
            await self._check_owner(actor_id, root, take_over=take_over)
            batch = _batch_on(actor_id, view)
            batch.claim(self._host)
            if await self._send(actor_id, view, batch) is None:
                return await self._claimed(actor_id)
        raise Unavailable(self._where, f"too many claim {actor_id} at once")

    async def _check_owner(
        self, actor_id: ActorId, root: Root, *, take_over: bool
    ) -> None:
        if root.owner is None or take_over:
            return
        if await is_alive(self._service, root.owner):
            raise ActorOwnedElsewhere(actor_id, owner_name(root))

    async def _claimed(self, actor_id: ActorId) -> Claim:
        found = await read_snapshot(self._service, actor_id, open_turns=True)
        root = found.root
        ids = frozenset(document["id"] for document in found.values)
        self._keep(actor_id, _View(root, found.etag, ids))
        return Claim(
            epoch=root.epoch,
            etag=root.etag,
            values=found.pairs(),
            next_position=root.next_position,
            open_turns=found.turns,
            marks=frozenset(root.marks),
        )

    async def _delete(self, actor_id: ActorId, epoch: int | None) -> bool:
        for _ in range(_TRIES):
            view = await self._load(actor_id)
            if view.etag is None:
                if epoch is not None:
                    raise StaleEpoch(actor_id, epoch, owner_name(view.root))
                return False
            batch = _batch_on(actor_id, view)
            existed = batch.delete(epoch)
            if await self._send(actor_id, view, batch) is None:
                await self._remove_older(actor_id, batch.root.generation)
                return existed
        raise Unavailable(self._where, f"too many write {actor_id} at once")

    async def _remove_older(self, actor_id: ActorId, generation: int) -> None:
        """Remove what no reader sees any more; what stays goes with the next one."""
        partition = partition_of(actor_id)
        try:
            found = await self._service.query(
                partition,
                "SELECT VALUE c.id FROM c WHERE c.pk = @pk "
                "AND c.kind IN ('turn', 'value') AND c.generation < @generation",
                generation=generation,
            )
            await self._run_parts(partition, [("delete", (one,)) for one in found])
        except (StorageError, Unanswered, CosmosRefusal):
            return

    async def _trim(self, actor_id: ActorId, keep: int) -> None:
        view = self._views.get(actor_id) or await self._load(actor_id)
        partition = partition_of(actor_id)
        full = await self._service.query(
            partition,
            "SELECT c.id, c.status FROM c WHERE c.pk = @pk AND c.kind = 'turn' "
            "AND c.generation = @generation AND c['full'] = true "
            "ORDER BY c.position DESC",
            generation=view.root.generation,
        )
        surplus = full[keep:]
        try:
            await self._run_parts(partition, [_trimming(turn) for turn in surplus])
        except CosmosRefusal as error:  # deleted meanwhile
            if error.status != 404:
                raise Unavailable(self._where, error) from error
        except Unanswered as error:
            raise Unavailable(self._where, "it did not answer in time") from error

    async def _run_parts(self, partition: str, operations: list[Operation]) -> None:
        """Operations that need not happen together."""
        for first in range(0, len(operations), MOST_OPERATIONS):
            part = operations[first : first + MOST_OPERATIONS]
            await self._service.batch(partition, part)

    # --- what is known of an actor

    async def _load(self, actor_id: ActorId) -> _View:
        found = await read_root(self._service, actor_id)
        return _View(found.root, found.etag, None if found.root.values else NO_IDS)

    async def _find_values(self, actor_id: ActorId, view: _View) -> None:
        if view.value_ids is None:
            found = await self._service.query(
                partition_of(actor_id),
                "SELECT VALUE c.id FROM c WHERE c.pk = @pk AND c.kind = 'value' "
                "AND c.generation = @generation",
                generation=view.root.generation,
            )
            view.value_ids = frozenset(found)

    async def _find_known(
        self, actor_id: ActorId, view: _View, ids: Iterable[str]
    ) -> None:
        found = await self._service.query(
            partition_of(actor_id),
            "SELECT * FROM c WHERE c.pk = @pk AND c.id IN ({ids})",
            ids=list(ids),
        )
        view.asked.update(ids)
        view.known.update((document["id"], document) for document in found)

    def _keep(self, actor_id: ActorId, view: _View) -> None:
        self._views[actor_id] = view
        self._views.move_to_end(actor_id)
        if len(self._views) > _KEPT_ROOTS:
            self._views.popitem(last=False)

    # --- one batch

    async def _send(self, actor_id: ActorId, view: _View, batch: Batch) -> _View | None:
        """Write a batch: None if it is written, else what to decide it on anew.

        Raises:
            Unanswered: it is not known whether it is written.
        """
        try:
            etag = await self._service.batch(partition_of(actor_id), batch.operations())
        except CosmosRefusal as refused:
            return await self._look_again(actor_id, view, batch, refused)
        except Unanswered as lost:
            return await self._resolve(actor_id, batch, lost)
        self._keep(actor_id, _View(batch.root, etag, _ids_after(view, batch)))
        return None

    async def _resolve(self, actor_id: ActorId, batch: Batch, lost: Unanswered) -> None:
        """Returns if the batch is found to be written."""
        try:
            found = await read_root(self._service, actor_id, within=_RESOLVE_WITHIN)
        except StorageError:
            raise lost from None
        if batch.commit in found.root.recent:
            self._views.pop(actor_id, None)
            return
        if not lost.over:
            raise lost
        raise Unavailable(self._where, lost.reason) from lost

    async def _look_again(
        self, actor_id: ActorId, view: _View, batch: Batch, refused: CosmosRefusal
    ) -> _View | None:
        now = await self._load(actor_id)
        if batch.commit in now.root.recent:  # an earlier sending has arrived
            self._keep(actor_id, now)
            return None
        if refused.in_doubt and not could_have_seen(now.root, view.root.writes):
            raise Unanswered(over=False, reason="too many have written since")
        wanted = set(view.asked)  # each is asked for again, or two could take turns
        if refused.status == 409 and refused.index > 0:
            wanted.update(batch.new_turn_ids)
        if wanted:
            await self._find_known(actor_id, now, wanted)
        return now


def _batch_on(actor_id: ActorId, view: _View) -> Batch:
    ids = view.value_ids or NO_IDS
    return Batch(actor_id, view.root, view.etag, ids, view.known)


def _ids_after(view: _View, batch: Batch) -> frozenset[str] | None:
    if not batch.root.values:
        return NO_IDS
    return None if view.value_ids is None else batch.value_ids


def _group_of(steps: list[CosmosStep]) -> _Group:
    group: _Group = []
    for step in steps:
        if step.verb not in _GROUPED:
            break
        group.append(step.argument)
    return group


def _names_values(step: _Written) -> bool:
    change = _as_change(step)
    return bool(change.set or change.remove)


def _as_change(step: _Written) -> ActorChange:
    if isinstance(step, ActorChange):
        return step
    values, remove, _ = step
    return ActorChange(epoch=0, set=values, remove=remove)


def _decide(batch: Batch, steps: _Group) -> list[object]:
    """The outcomes of the first steps, as many as fit in one batch."""
    outcomes: list[object] = []
    for step in steps:
        if outcomes and not batch.has_room(_as_change(step)):
            break
        try:
            if isinstance(step, ActorChange):
                outcomes.append(batch.apply(step))
            else:
                outcomes.append(batch.write_state(*step))
        except StorageError as refusal:
            outcomes.append(refusal)
    return outcomes


def _all_unknown(
    actor_id: ActorId, steps: _Group, outcomes: Sequence[object], commit: str
) -> list[object]:
    """What is not refused is not known."""
    found: list[object] = []
    for step, outcome in zip(steps, outcomes, strict=False):
        if isinstance(outcome, StorageError):
            found.append(outcome)
        else:
            named = isinstance(step, ActorChange) and step.new_etag
            found.append(OutcomeUnknown(actor_id, named or commit))
    return found


def _trimming(turn: Mapping[str, Any]) -> Operation:
    patch = [
        {"op": "set", "path": "/full", "value": False},
        {"op": "set", "path": "/result", "value": None},
    ]
    if turn["status"] != RequestStatus.INTERRUPTED.value:
        patch.append({"op": "set", "path": "/body", "value": None})
    return ("patch", (cast("str", turn["id"]), patch))
