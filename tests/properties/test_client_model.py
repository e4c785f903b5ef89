"""The client's API behaves as a simple model of it, whatever is called in which order.

The runtime lives in virtual time; a restart is a graceful stop or a crash, and a new
runtime on the same data.
"""

import asyncio
from collections import defaultdict
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from agent_runtime_nb.exceptions import ActorBusy, MailboxFull, MessageIdReused
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorRequestMessage,
    ActorResponseMessage,
    IActorRuntimeContext,
    RequestStatus,
    WhenBusy,
)
from agent_runtime_nb.settings import RuntimeSettings
from agent_runtime_nb.storage.memory import InMemoryStateStorage
from agent_runtime_nb.supervision import RestartPolicy
from agent_runtime_nb.testing.simulated_loop import SimulatedLoop, SimulatedTime
from tests.effort import amount
from tests.fakes import HandlingActor

T = TypeVar("T")

ACTORS = [ActorId("worker", "a"), ActorId("worker", "b")]
ANY_ACTOR = st.sampled_from(ACTORS)
TIMEOUT = 5.0
REQUESTS = st.tuples(
    st.sampled_from(["answer", "raise", "hold", "hold"]),
    st.sampled_from(["queue", "queue", "queue", "reject", "interrupt"]),
    st.sampled_from([None, None, TIMEOUT]),
)
SETTINGS = RuntimeSettings(mailbox_limit=3, idle_timeout=5.0, max_resident=1)


class Process:
    """A host on the data that all share."""

    def __init__(self, time: SimulatedTime, data: InMemoryStateStorage) -> None:
        self._time = time
        self.loop = SimulatedLoop(time)
        self.storage = InMemoryStateStorage(data)
        self.runtime = InProcessActorRuntime(
            self.storage,
            settings=SETTINGS,
            environment=self.loop.environment(f"at {time.now}"),
        )
        self.released: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.runtime.register_actor_type(
            "worker",
            lambda _: HandlingActor(self._work),
            restart=RestartPolicy(max_restarts=1_000, backoff=0.0),
        )
        self.client = InProcessActorClient(self.runtime)

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something in the process, and let what it causes settle."""

        async def settled() -> T:
            try:
                return await work
            finally:
                await asyncio.sleep(0.01)

        return self._time.run(self.loop.create_task(settled()))

    def crash(self) -> None:
        self._time.freeze(self.loop)
        other = SimulatedLoop(self._time)
        self._time.run(other.create_task(self.storage.close()))
        self._time.freeze(other)
        other.close()
        self.loop.bury()

    def stop(self) -> None:
        self.do(self.runtime.stop(drain=0))
        self.loop.close()

    async def _work(
        self, context: IActorRuntimeContext, message: ActorRequestMessage
    ) -> Any:
        if message.params["do"] == "raise":
            raise ValueError("asked to")
        if message.params["do"] == "hold":
            await self.released[message.message_id].wait()
        count = await context.read_state("count", 0) + 1
        await context.write_state("count", count)
        return {"n": message.params["n"], "count": count}


@dataclass
class Request:
    """What the model knows of one request; `status` PENDING: it is open."""

    message_id: str
    params: dict[str, Any]
    timeout: float | None
    status: RequestStatus = RequestStatus.PENDING
    data: Any = None


@dataclass
class Actor:
    """What the model knows of one actor."""

    requests: dict[str, Request] = field(default_factory=dict[str, Request])
    count: int = 0

    @property
    def open(self) -> list[Request]:
        """Accepted and not ended, in order; the first one runs."""
        return [one for one in self.requests.values() if not one.status.is_final]

    def end(self, request: Request, status: RequestStatus, data: Any = None) -> None:
        request.status, request.data = status, data
        self.run()

    def run(self) -> None:
        """Whatever needs nobody to go on ends at once."""
        while self.open and self.open[0].params["do"] != "hold":
            request = self.open[0]
            if request.params["do"] == "raise":
                request.status = RequestStatus.FAILED
                request.data = {"error": "ValueError"}
            else:
                self.complete(request)

    def complete(self, request: Request) -> None:
        self.count += 1
        request.status = RequestStatus.COMPLETED
        request.data = {"n": request.params["n"], "count": self.count}


class ClientMachine(RuleBasedStateMachine):
    """Calls the client and compares what it says with the model."""

    def __init__(self) -> None:
        super().__init__()
        self.time = SimulatedTime()
        self.data = InMemoryStateStorage()
        self.actors = {actor_id: Actor() for actor_id in ACTORS}
        self.sent = 0

    @initialize()
    def start(self) -> None:
        self.process = Process(self.time, self.data)
        self.process.do(self.process.runtime.start())

    def teardown(self) -> None:
        self.process.stop()

    # --- send

    @rule(actor_id=ANY_ACTOR, asked=st.lists(REQUESTS, min_size=1, max_size=4))
    def send(
        self, actor_id: ActorId, asked: list[tuple[str, WhenBusy, float | None]]
    ) -> None:
        for do, when_busy, timeout in asked:
            self.sent += 1
            params = {"do": do, "n": self.sent}
            limit = timeout if do == "hold" else None
            request = Request(f"m{self.sent}", params, limit)
            self._send_new(actor_id, request, when_busy)

    def _send_new(
        self, actor_id: ActorId, request: Request, when_busy: WhenBusy
    ) -> None:
        actor = self.actors[actor_id]
        waiting = actor.open
        if waiting and when_busy == "reject":
            with pytest.raises(ActorBusy):
                self._send(actor_id, request, when_busy)
            return
        if len(waiting) > SETTINGS.mailbox_limit:
            with pytest.raises(MailboxFull):
                self._send(actor_id, request, when_busy)
            return

        handle = self._send(actor_id, request, when_busy)

        assert handle.message_id == request.message_id
        actor.requests[request.message_id] = request
        if waiting and when_busy == "interrupt":
            waiting[0].status = RequestStatus.CANCELLED
        actor.run()

    def _send(
        self, actor_id: ActorId, request: Request, when_busy: WhenBusy = "queue"
    ) -> Any:
        return self.process.do(
            self.process.client.send_request(
                actor_id,
                "run",
                request.params,
                request.message_id,
                when_busy=when_busy,
                timeout=request.timeout,
            )
        )

    @rule(actor_id=ANY_ACTOR, index=st.integers(0, 30))
    def send_again(self, actor_id: ActorId, index: int) -> None:
        if request := self._pick(actor_id, index):
            if self._is_refused(actor_id, request):
                with pytest.raises(MailboxFull):
                    self._send(actor_id, request)
                return
            self._check_handle(self._send(actor_id, request), request)

    @rule(actor_id=ANY_ACTOR, index=st.integers(0, 30))
    def send_another_body(self, actor_id: ActorId, index: int) -> None:
        if request := self._pick(actor_id, index):
            other = Request(request.message_id, {"do": "answer", "n": -1}, None)
            full = self._is_refused(actor_id, request)
            with pytest.raises(MailboxFull if full else MessageIdReused):
                self._send(actor_id, other)

    def _is_refused(self, actor_id: ActorId, request: Request) -> bool:
        """Whether there is no room to ask the storage for it; `get_response` has it."""
        is_full = len(self.actors[actor_id].open) > SETTINGS.mailbox_limit
        return is_full and request.status.is_final

    # --- look

    @rule(actor_id=ANY_ACTOR, index=st.integers(0, 30))
    def get_response(self, actor_id: ActorId, index: int) -> None:
        client, request = self.process.client, self._pick(actor_id, index)
        if request is None:
            handle = self.process.do(client.get_response(actor_id, "never sent"))
            response = self.process.do(handle.get_response())
            assert response.status is RequestStatus.NOT_FOUND
            return
        handle = self.process.do(client.get_response(actor_id, request.message_id))
        self._check_handle(handle, request)

    @rule(actor_id=ANY_ACTOR, index=st.integers(0, 30))
    def watch(self, actor_id: ActorId, index: int) -> None:
        request = self._pick(actor_id, index)
        if request is None or not request.status.is_final:
            return
        client = self.process.client

        async def last_item() -> ActorResponseMessage:
            handle = await client.get_response(actor_id, request.message_id)
            return [update async for update in handle.watch_updates()][-1]

        self._check_response(self.process.do(last_item()), request)

    def _pick(self, actor_id: ActorId, index: int) -> Request | None:
        known = list(self.actors[actor_id].requests.values())
        return known[index % len(known)] if known else None

    def _check_handle(self, handle: Any, request: Request) -> None:
        async def answer() -> ActorResponseMessage | None:
            try:
                return await asyncio.wait_for(handle.get_response(), 0.001)
            except TimeoutError:
                return None

        self._check_response(self.process.do(answer()), request)

    def _check_response(
        self, response: ActorResponseMessage | None, request: Request
    ) -> None:
        if response is None:
            assert not request.status.is_final
            return
        assert response.message_id == request.message_id
        assert (response.status, _short(response.data)) == (
            request.status,
            request.data,
        )

    # --- end

    @rule(actor_id=ANY_ACTOR)
    def release(self, actor_id: ActorId) -> None:
        actor = self.actors[actor_id]
        if not actor.open:
            return
        request = actor.open[0]

        self.process.released[request.message_id].set()
        self.process.do(asyncio.sleep(0.01))

        actor.complete(request)
        actor.run()

    @rule(actor_id=ANY_ACTOR, index=st.integers(0, 30))
    def cancel(self, actor_id: ActorId, index: int) -> None:
        actor, request = self.actors[actor_id], self._pick(actor_id, index)
        message_id = request.message_id if request else "never sent"
        cancelled = self.process.do(self.process.client.cancel(actor_id, message_id))

        assert cancelled is (request is not None and not request.status.is_final)
        if request is not None and cancelled:
            actor.end(request, RequestStatus.CANCELLED)

    @rule(actor_id=ANY_ACTOR, index=st.integers(0, 30))
    def withdraw(self, actor_id: ActorId, index: int) -> None:
        actor, request = self.actors[actor_id], self._pick(actor_id, index)
        message_id = request.message_id if request else "never sent"
        withdrawn = self.process.do(self.process.runtime.withdraw(actor_id, message_id))

        assert withdrawn is (request in actor.open[1:])
        if request is not None and withdrawn:
            actor.end(request, RequestStatus.CANCELLED)

    @rule(actor_id=ANY_ACTOR, dice=st.integers(1, 4))
    def delete(self, actor_id: ActorId, dice: int) -> None:
        if dice != 4:  # not so often
            return
        existed = self.process.do(self.process.runtime.delete_actor(actor_id))

        assert existed is bool(self.actors[actor_id].requests)
        self.actors[actor_id] = Actor()

    @rule()
    def let_time_pass(self) -> None:
        self.process.do(asyncio.sleep(TIMEOUT + SETTINGS.idle_timeout + 5.0))

        for actor in self.actors.values():
            for request in actor.open:
                if request.timeout is not None:
                    actor.end(
                        request, RequestStatus.FAILED, {"error": "DeadlineExceeded"}
                    )

    @rule(crash=st.booleans())
    def restart(self, crash: bool) -> None:  # noqa: FBT001
        if crash:
            self.process.crash()
        else:
            self.process.stop()
        self.start()

        for actor in self.actors.values():
            for request in actor.open:
                request.status = RequestStatus.INTERRUPTED
                request.data = {"error": "Interrupted"}

    # --- always

    @invariant()
    def the_directory_tells_what_the_model_has(self) -> None:
        for actor_id, actor in self.actors.items():
            reading = self.process.runtime.read_actor(actor_id, limit=1000)
            view = self.process.do(reading)

            ended = [(turn.message_id, turn.status) for turn in view.turns]
            waiting = [turn.message_id for turn in view.waiting]
            running = [] if view.running is None else [view.running.message_id]
            assert ended == [
                (one.message_id, one.status)
                for one in actor.requests.values()
                if one.status.is_final
            ]
            assert running + waiting == [one.message_id for one in actor.open]


def _short(data: Any) -> Any:
    """Response data as the model has it: of an error its type alone."""
    match data:
        case {"error": {"type": kind}}:
            return {"error": kind}
        case _:
            return data


PROFILE = settings(
    max_examples=amount(150, quick=15, long=1500),
    stateful_step_count=40,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@pytest.mark.scales
@pytest.mark.timeout(amount(60, quick=60, long=600))
def test_a_client_behaves_as_the_model_does() -> None:
    run_state_machine_as_test(ClientMachine, settings=PROFILE)
