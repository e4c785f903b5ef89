"""A storage beside its model, driven step by step.

Rules do one thing at a time; `burst` calls several steps before it waits for any, as a
runtime does, so that they are written together.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from agent_runtime_nb.runtime_abstractions import ActorId, RequestStatus
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    Claim,
    IActorStateStorage,
)
from agent_runtime_nb.testing.storage_kit.case import CaseKit
from agent_runtime_nb.testing.storage_kit.subject import StorageUnderTest
from tests.properties.storage_model import Learned, StorageModel
from tests.properties.storage_steps import (
    ACTORS,
    CHANGES,
    KEYS,
    MARKS,
    MESSAGES,
    Step,
    steps,
)

T = TypeVar("T")

HOSTS = ("one", "two")
KEEP = 2
PATIENCE = 20.0  # seconds after which a storage hangs


@dataclass
class Host:
    """A host that lives: its storage, and the epochs that it was given."""

    host_id: str
    storage: IActorStateStorage
    epochs: dict[ActorId, int] = field(default_factory=dict[ActorId, int])


hosts = st.sampled_from(HOSTS)
actors = st.sampled_from(ACTORS)
OPEN_ONLY = st.builds(dict[str, bool], open_only=st.booleans())


class StorageMachine(RuleBasedStateMachine):
    """Two hosts on one backend, beside the model."""

    def __init__(self, subject: StorageUnderTest) -> None:
        super().__init__()
        self.kit = CaseKit(subject)
        self.model = StorageModel()
        self.runner = asyncio.Runner()
        self.hosts: dict[str, Host] = {}
        self.count = 0
        self.touched: tuple[Host, ActorId] | None = None

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        async def bounded() -> T:
            async with asyncio.timeout(PATIENCE):
                return await work

        return self.runner.run(bounded())

    # --- hosts

    @initialize()
    def start(self) -> None:
        for name in HOSTS:
            self._open(name)

    def _open(self, name: str) -> None:
        async def open_one() -> Host:
            storage = self.kit.subject.make()
            info = self.kit.host(name)
            await self.kit.opened_for(storage, info)
            return Host(info.host_id, storage)

        host = self.hosts[name] = self._run(open_one())
        self.model.alive.add(host.host_id)

    @rule(name=hosts)
    def reopen(self, name: str) -> None:
        """A host closes and another one comes."""
        host = self.hosts[name]
        self.model.alive.discard(host.host_id)
        self._run(host.storage.close())
        self._open(name)

    @rule(name=hosts)
    def crash(self, name: str) -> None:
        """A host dies without closing and another one comes."""
        host = self.hosts[name]
        self.model.alive.discard(host.host_id)
        self._run(self.kit.kill(host.storage))
        self._open(name)
        self._run(host.storage.close())

    # --- steps

    @rule(name=hosts, actor=actors)
    def claim(self, name: str, actor: str) -> None:
        """A host wants an actor that may be another's."""
        self._do(name, [Step("claim", actor)])

    @rule(name=hosts, step=steps)
    def one_step(self, name: str, step: Step) -> None:
        self._do(name, [step])

    @rule(name=hosts, drawn=st.lists(steps, min_size=2, max_size=8))
    def burst(self, name: str, drawn: list[Step]) -> None:
        self._do(name, drawn)

    @rule(name=hosts, actor=actors)
    def trim(self, name: str, actor: str) -> None:
        host, actor_id = self.hosts[name], self.kit.actor(actor)
        self.model.trim(actor_id, KEEP)
        self._run(host.storage.trim(actor_id, KEEP))
        self.touched = host, actor_id

    def _do(self, name: str, drawn: list[Step]) -> None:
        """Call the steps at once, the model's one by one, and compare."""
        host = self.hosts[name]
        drawn = [*self._needed_claims(host, drawn), *drawn]

        async def call() -> tuple[list[Any], list[Any]]:
            expected: list[Any] = []
            calls: list[asyncio.Future[Any]] = []
            for step in drawn:
                called, outcome = self._call(host, step)
                calls.append(called)
                expected.append(outcome)
            return expected, await asyncio.gather(*calls, return_exceptions=True)

        for step, expected, found in zip(drawn, *self._run(call()), strict=True):
            actor_id = self.kit.actor(step.actor)
            self._compare(host, actor_id, expected, found)
            self.touched = host, actor_id

    def _needed_claims(self, host: Host, drawn: list[Step]) -> list[Step]:
        """Most of what is to be written is written by an owner."""
        names = {step.actor for step in drawn if step.kind in CHANGES and step.good}
        return [
            Step("claim", name, flag=True)
            for name in sorted(names)
            if self.model.actor(self.kit.actor(name)).owner != host.host_id
        ]

    def _compare(
        self, host: Host, actor_id: ActorId, expected: Any, found: Any
    ) -> None:
        if isinstance(expected, type):
            assert isinstance(found, expected), f"{expected.__name__}, not {found!r}"
        elif isinstance(expected, Learned):
            assert isinstance(found, str)
            assert found
            actor = self.model.actor(actor_id)
            if actor.etag is expected:
                actor.etag = found
        else:
            if isinstance(expected, Claim) and isinstance(expected.etag, Learned):
                expected.etag = found.etag
            assert found == expected

    def _call(self, host: Host, step: Step) -> tuple["asyncio.Future[Any]", Any]:
        actor_id = self.kit.actor(step.actor)
        if step.kind == "claim":
            return self._call_claim(host, actor_id, step)
        if step.kind == "write":
            return self._call_write(host, actor_id, step)
        if step.kind == "delete":
            epoch = self.model.actor(actor_id).epoch or 1 if step.flag else None
            epoch = epoch if epoch is None or step.good else epoch + 7
            expected = self.model.delete(actor_id, epoch)
            return host.storage.delete_state(actor_id, epoch=epoch), expected
        change = self._change(host, actor_id, step)
        expected = self.model.apply(actor_id, change)
        return host.storage.apply(actor_id, change), expected

    def _call_claim(
        self, host: Host, actor_id: ActorId, step: Step
    ) -> tuple["asyncio.Future[Any]", Any]:
        take_over = step.flag
        expected = self.model.claim(actor_id, host.host_id, take_over=take_over)
        if isinstance(expected, Claim):
            host.epochs[actor_id] = expected.epoch
        return host.storage.claim(actor_id, take_over=take_over), expected

    def _call_write(
        self, host: Host, actor_id: ActorId, step: Step
    ) -> tuple["asyncio.Future[Any]", Any]:
        values = {} if step.flag else {step.key: self._value()}
        remove = [step.key, "never"] if step.flag else []
        etag = self._etag(actor_id, step)
        expected = self.model.write_state(actor_id, values, remove, etag)
        return host.storage.write_state(
            actor_id, set=values, remove=remove, etag=etag
        ), expected

    def _etag(self, actor_id: ActorId, step: Step) -> str | None:
        etag = self.model.actor(actor_id).etag
        known = step.good and not isinstance(etag, Learned)
        return etag if known else "stale"

    def _value(self) -> bytes:
        self.count += 1
        return b"%d" % self.count

    def _change(self, host: Host, actor_id: ActorId, step: Step) -> ActorChange:
        """A change by the owner of an actor, or somebody who was it, or never was."""
        epoch = host.epochs.get(actor_id, 0)
        change = ActorChange(epoch=epoch if step.good else epoch + step.number % 2)
        CHANGES[step.kind](change, self.model.actor(actor_id), step, self._value)
        if step.kind == "commit":
            change.etag = self._etag(actor_id, step)
            change.new_etag = f"{self.kit.namespace}-{self._value().decode()}"
        return change

    # --- what can be read

    @rule(name=hosts, mark=st.sampled_from((None, *MARKS)), options=OPEN_ONLY)
    def list_actors(
        self, name: str, mark: str | None, options: dict[str, bool]
    ) -> None:
        async def listed() -> list[ActorId]:
            found: list[ActorId] = []
            after: str | None = None
            while True:
                page = await self.hosts[name].storage.list_actors(
                    self.kit.type_name("echo"),
                    mark=mark,
                    after=after,
                    limit=2,
                    **options,
                )
                found += page.items
                after = page.next
                if after is None:
                    return found

        found = self._run(listed())

        assert found == self.model.listed(mark=mark, **options)

    @rule(name=hosts, actor=actors, prefix=st.sampled_from(("", "k", "k%", "%")))
    def list_keys(self, name: str, actor: str, prefix: str) -> None:
        actor_id = self.kit.actor(actor)
        values = self.model.actor(actor_id).values

        page = self._run(self.hosts[name].storage.list_keys(actor_id, prefix))

        assert list(page.items) == sorted(k for k in values if k.startswith(prefix))

    @rule(
        name=hosts,
        named=st.lists(actors, max_size=5),
        keys=st.none() | st.lists(st.sampled_from((*KEYS, "never"))),
        prefix=st.sampled_from(("", "k", "k%", "%")),
    )
    def read_states(
        self, name: str, named: list[str], keys: list[str] | None, prefix: str
    ) -> None:
        ids = [self.kit.actor(actor) for actor in named]
        expected = [self.model.state(actor_id) for actor_id in ids]
        for state in expected:
            values = state.values.items()
            state.values = {
                key: value
                for key, value in values
                if key.startswith(prefix) and (keys is None or key in keys)
            }

        storage = self.hosts[name].storage
        found = self._run(storage.read_states(ids, keys, prefix=prefix))

        assert found == expected

    @rule(name=hosts, actor=actors, message=st.sampled_from(MESSAGES))
    def find_turn(self, name: str, actor: str, message: str) -> None:
        actor_id = self.kit.actor(actor)

        found = self._run(self.hosts[name].storage.find_turn(actor_id, message))

        assert found == self.model.actor(actor_id).find(message)

    @precondition(lambda self: self.touched is not None)
    @invariant()
    def what_was_touched_is_as_in_the_model(self) -> None:
        """Read by a host that may not be the one that wrote."""
        assert self.touched is not None
        (host, actor_id), self.touched = self.touched, None
        if host not in self.hosts.values() or self.count % 2:
            host = self.hosts[HOSTS[self.count % 4 // 2]]

        async def read() -> tuple[Any, Any]:
            state = await host.storage.read_state(actor_id)
            return state, await host.storage.read_turns(actor_id, limit=100)

        state, turns = self._run(read())

        assert state == self.model.state(actor_id)
        assert turns == self.model.turns(actor_id)
        state.values["what a reader does"] = b"to its copy"
        for turn in turns:
            turn.status, turn.body = RequestStatus.NOT_FOUND, b"nobody else sees"

    def teardown(self) -> None:
        try:
            self._run(self.kit.close())
        finally:
            self.runner.close()


def drive(subject: StorageUnderTest, **options: Any) -> None:
    profile = settings(
        deadline=None, suppress_health_check=[HealthCheck.too_slow], **options
    )
    machine: Any = lambda: StorageMachine(subject)  # noqa: E731 - it is typed as a class
    run_state_machine_as_test(machine, settings=profile)
