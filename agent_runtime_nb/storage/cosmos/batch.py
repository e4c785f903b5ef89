"""What steps of one actor come to, as one transactional batch.

A step is decided on the root alone: it checks everything before it changes anything, so
a refused one leaves no trace. What the others come to is written at once, at most one
operation for each document, the root's first: if that one is refused because somebody
else has written, all are.
"""

import json
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from agent_runtime_nb.exceptions import Conflict, StaleEpoch, TooLarge
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    Encoded,
    RequestStatus,
)
from agent_runtime_nb.storage.cosmos.documents import (
    ROOT_ID,
    Document,
    Root,
    partition_of,
    text_of,
    turn_document,
    turn_id,
    turn_of,
    value_document,
    value_id,
)
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    HostInfo,
    TurnEnd,
    TurnRecord,
)

MOST_OPERATIONS = 100
"""Of one batch, by Cosmos DB's rule."""

MOST_BYTES = 2 * 1024 * 1024 - 64 * 1024
"""Of one batch and so of one document: Cosmos DB's 2 MB with a reserve."""

Operation = tuple[Any, ...]
"""As azure-cosmos takes it: (verb, arguments) or (verb, arguments, options)."""

NO_IDS: frozenset[str] = frozenset()

_PROPERTIES = 600  # bytes of a document around the caller's texts


class Batch:
    """Steps of one actor that will be written together.

    Args:
        actor_id: whose.
        root: as it is stored; it is not changed.
        etag: Cosmos DB's own version of the root; None: there is none yet.
        value_ids: ids of all stored values' documents; only needed if steps change
            values.
        known: stored turns that steps want to accept again, by document id.

    Attributes:
        commit: names the batch, in the root that it writes.
        root: as it will be stored.
        changed: whether there is anything to write.
        unsure: ids of turns that were refused because they are not among the known
            ones.
    """

    def __init__(
        self,
        actor_id: ActorId,
        root: Root,
        etag: str | None,
        value_ids: frozenset[str] = NO_IDS,
        known: Mapping[str, Document] | None = None,
    ) -> None:
        self.commit = uuid.uuid4().hex
        self.root = root.copy()
        self.changed = False
        self._actor_id = actor_id
        self._partition = partition_of(actor_id)
        self._etag = etag
        self._known = known or {}
        self._stored_ids = value_ids
        self._turns: dict[str, Document] = {}  # new ones
        self._patches: dict[str, Document] = {}  # properties of stored ones
        self._started: dict[str, int] = {}  # attempts that stored ones gain
        self._values: dict[str, Document | None] = {}
        self.unsure: set[str] = set()

    @property
    def value_ids(self) -> frozenset[str]:
        """Ids of all values' documents after the batch."""
        gone = {one for one, value in self._values.items() if value is None}
        return (self._stored_ids | self._values.keys()) - gone

    @property
    def new_turn_ids(self) -> list[str]:
        """Ids of the documents that must not exist yet."""
        return list(self._turns)

    # --- the steps

    def apply(self, change: ActorChange) -> tuple[TurnRecord, ...]:
        """See `IActorStateStorage.apply`."""
        root = self.root
        if not change.epoch or change.epoch != root.epoch:
            raise StaleEpoch(self._actor_id, change.epoch, owner_name(root))
        if change.new_etag is not None and change.etag != root.etag:
            raise Conflict(self._actor_id, change.etag, root.etag)
        new, known = self._sort(change.accepted)
        self._check_ended(change.ended, new.values())

        for one, turn in new.items():
            self._accept(one, turn)
        self._change_turns(change)
        self._change_values(change.set or {}, change.remove)
        if change.new_etag is not None:
            root.etag = change.new_etag
            root.revision += 1
        if change.add_marks or change.remove_marks:
            kept = change.add_marks.union(root.marks) - change.remove_marks
            root.marks = sorted(kept)
        self.changed = True
        return known

    def write_state(
        self, values: Mapping[str, Encoded], remove: Iterable[str], etag: str | None
    ) -> str:
        """See `IActorStateStorage.write_state`."""
        if etag != self.root.etag:
            raise Conflict(self._actor_id, etag, self.root.etag)
        self._change_values(values, remove)
        self.root.etag = uuid.uuid4().hex
        self.root.revision += 1
        self.changed = True
        return self.root.etag

    def claim(self, host: HostInfo) -> None:
        """Make a host the owner."""
        self.root.owner, self.root.owner_name = host.host_id, host.name
        self.root.epoch += 1
        self.changed = True

    def delete(self, epoch: int | None) -> bool:
        """See `IActorStateStorage.delete_state`; the root's part of it."""
        root = self.root
        if epoch is not None and (not epoch or epoch != root.epoch):
            raise StaleEpoch(self._actor_id, epoch, owner_name(root))
        existed = root.has_data
        root.generation += 1
        root.first_position = root.next_position
        root.values = 0
        root.open, root.marks = {}, []
        self._stored_ids = NO_IDS
        root.owner = root.owner_name = root.etag = None
        root.epoch += 1
        root.revision += 1
        self.changed = True
        return existed

    # --- what is sent

    def has_room(self, change: ActorChange) -> bool:
        """Whether a change surely fits in the same batch."""
        turns = len(change.accepted) + len(change.started) + len(change.ended)
        more = turns + 1 + len(change.set or ()) + len(tuple(change.remove))
        operations = len(self._turns) + len(self._patches) + len(self._values)
        if 1 + operations + more > MOST_OPERATIONS:
            return False
        # Quotes and backslashes of JSON text become two bytes each in a string.
        size = self._size() + 2 * _payload(change) + _PROPERTIES * more
        return size <= MOST_BYTES

    def operations(self) -> list[Operation]:
        """The batch.

        Raises:
            TooLarge: if Cosmos DB would not take it.
        """
        self.root.sign(self.commit)
        root = self.root.document(self._partition)
        found: list[Operation] = [
            ("create", (root,))
            if self._etag is None
            else ("replace", (ROOT_ID, root), {"if_match_etag": self._etag})
        ]
        found += [("create", (turn,)) for turn in self._turns.values()]
        found += [("patch", (one, self._patch_of(one))) for one in self._patches]
        for one, value in self._values.items():
            if value is not None:
                found.append(("upsert", (value,)))
            elif one in self._stored_ids:
                found.append(("delete", (one,)))
        self._check_limits(found)
        return found

    def _check_limits(self, operations: list[Operation]) -> None:
        what = f"the change of {self._actor_id}"
        if len(operations) > MOST_OPERATIONS:
            count = len(operations)
            raise TooLarge(what, count, MOST_OPERATIONS, unit="documents")
        size = sum(len(_json(operation)) for operation in operations)
        if size > MOST_BYTES:
            raise TooLarge(what, size, MOST_BYTES)

    def _size(self) -> int:
        parts = (self._turns, self._patches, self._values)
        return sum(len(_json(part)) for part in parts if part) + len(self._turns)

    def _patch_of(self, one: str) -> list[Document]:
        patch = [
            {"op": "set", "path": f"/{name}", "value": value}
            for name, value in self._patches[one].items()
        ]
        if times := self._started.get(one):
            patch.append({"op": "incr", "path": "/attempts", "value": times})
        return patch

    # --- parts of the steps

    def _sort(
        self, accepted: tuple[TurnRecord, ...]
    ) -> tuple[dict[str, TurnRecord], tuple[TurnRecord, ...]]:
        """The turns that are new, by document id, and the stored ones that are known."""
        root = self.root
        new: dict[str, TurnRecord] = {}
        known: list[TurnRecord] = []
        for turn in accepted:
            one = turn_id(root.generation, turn.message_id)
            if one in new:
                known.append(turn_of(turn_document("", 0, new[one])))
            elif (stored := self._stored(one)) is not None:
                known.append(turn_of(stored))
            elif turn.position < root.next_position + len(new):
                self.unsure.add(one)  # it was refused, unless it is known
                raise Conflict(self._actor_id, root.next_position, turn.position)
            else:
                new[one] = turn
        return new, tuple(known)

    def _stored(self, one: str) -> Document | None:
        document = self._turns.get(one)
        if document is None and one in self._known:
            document = {**self._known[one], **self._patches.get(one, {})}
            document["attempts"] += self._started.get(one, 0)
        return document

    def _check_ended(
        self, ended: tuple[TurnEnd, ...], new: Iterable[TurnRecord]
    ) -> None:
        if not ended:
            return
        pending = RequestStatus.PENDING
        coming = {turn.position for turn in new if turn.status is pending}
        for end in ended:
            if str(end.position) not in self.root.open and end.position not in coming:
                raise Conflict(
                    self._actor_id, f"an open turn {end.position}", "none there"
                )

    def _accept(self, one: str, turn: TurnRecord) -> None:
        root = self.root
        self._turns[one] = turn_document(self._partition, root.generation, turn)
        root.next_position = turn.position + 1
        if turn.status is RequestStatus.PENDING:
            root.open[str(turn.position)] = one

    def _change_turns(self, change: ActorChange) -> None:
        root = self.root
        for position in change.started:
            if (one := root.open.get(str(position))) is not None:
                self._start(one)
        if change.checkpoint is not None:
            position, progress = change.checkpoint
            if (one := root.open.get(str(position))) is not None:
                self._set(one, {"checkpoint": text_of(progress)})
        for end in change.ended:
            one = root.open.pop(str(end.position))
            self._set(
                one,
                {
                    "full": True,
                    "status": end.status.value,
                    "result": text_of(end.result),
                    "entries": text_of(end.entries),
                    "ended_at": end.ended_at,
                },
            )

    def _start(self, one: str) -> None:
        if one in self._turns:
            self._turns[one]["attempts"] += 1
        else:
            self._patches.setdefault(one, {})
            self._started[one] = self._started.get(one, 0) + 1

    def _set(self, one: str, properties: Document) -> None:
        if one in self._turns:
            self._turns[one].update(properties)
        else:
            self._patches.setdefault(one, {}).update(properties)

    def _change_values(
        self, values: Mapping[str, Encoded], remove: Iterable[str]
    ) -> None:
        root = self.root
        there = self.value_ids
        for key, value in values.items():
            one = value_id(root.generation, key)
            if one not in there:
                there |= {one}
            self._values[one] = value_document(
                self._partition, root.generation, key, value
            )
        for key in remove:
            one = value_id(root.generation, key)
            if one in there:
                there -= {one}
                self._values[one] = None
        if values or remove:
            root.values = len(there)
            root.revision += 1


def owner_name(root: Root) -> str:
    """Who owns the actor, for people."""
    return root.owner_name or "nobody"


def _payload(change: ActorChange) -> int:
    texts: list[Encoded | None] = list((change.set or {}).values())
    for turn in change.accepted:
        texts += (turn.body, turn.result, turn.entries, turn.checkpoint)
    for end in change.ended:
        texts += (end.result, end.entries)
    if change.checkpoint is not None:
        texts.append(change.checkpoint[1])
    return sum(len(text) for text in texts if text)


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
