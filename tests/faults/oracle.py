"""What must hold after every fault, whatever it was.

A `World` is a runtime under a fault. Everything that is sent to it goes through it and
is written down, and `judge` then asks, in the order of the list of faults:

(a) nothing pending: whoever was promised an answer has one, or a typed error;
(b) the promises P1 to P6, from what is stored: order, nothing lost, one answer, state
    as often as turns have completed, every run counted before it began;
(c) nobody else was hurt: `others_answer`, called while the fault lasts;
(d) nothing leaked: the fixture `leaves_nothing` around each test;
(e) one error in the log for each turn that deserves one, with actor and message, and
    nothing of what the requests said;
(f) the same actor answers, now that the fault is over.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from agent_runtime_nb.exceptions import AgentRuntimeError
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorRequestMessage,
    ActorResponseHandle,
    ActorResponseMessage,
    IActor,
    IActorRuntimeContext,
    RequestStatus,
)
from agent_runtime_nb.settings import Environment, RuntimeSettings
from agent_runtime_nb.storage.memory import InMemoryStateStorage
from agent_runtime_nb.storage_abstractions import IActorStateStorage, TurnRecord
from agent_runtime_nb.supervision import OnInterrupted, RestartPolicy
from agent_runtime_nb.testing.faults.storage import FaultyStorage
from tests.fakes import ONE, Handle, HandlingActor, echo

SECRET = "sk-do-not-tell-2f6c"  # noqa: S105 - to be looked for
"""Is in the metadata of every request, and must be nowhere in the log."""

PATIENCE = 5.0
AT_ONCE = RestartPolicy(max_restarts=3, backoff=0.0)
BYSTANDER = ActorId("bystander", "one")

Said = tuple[RequestStatus, Any]


class World:
    """A runtime under a fault: actors "worker" do as `handle` says, others echo.

    A worker counts its turns in the state key "n" around whatever `handle` does.

    Attributes:
        made: how many workers were made.
        ran: the runs of each actor, in their order.
    """

    def __init__(
        self,
        handle: Handle,
        log: Sequence[logging.LogRecord],
        storage: IActorStateStorage | None = None,
        *,
        on_interrupted: OnInterrupted = "ask",
        restart: RestartPolicy = AT_ONCE,
        settings: RuntimeSettings | None = None,
        environment: Environment | None = None,
        host_name: str | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self.storage = storage or InMemoryStateStorage()
        self.runtime = InProcessActorRuntime(
            self.storage,
            settings=settings or RuntimeSettings(commit_retries=(0.0,)),
            environment=environment,
            host_name=host_name,
        )
        self.client = InProcessActorClient(self.runtime)
        self.handle = handle
        self.patience = patience
        self.made = 0
        self.ran: dict[ActorId, list[str]] = {}
        self.accepted: dict[tuple[ActorId, str], ActorResponseHandle] = {}
        self._log = log
        self.runtime.register_actor_type(
            "worker", self._make, on_interrupted=on_interrupted, restart=restart
        )
        self.runtime.register_actor_type("bystander", lambda _: HandlingActor(echo))

    def _make(self, _: IActorRuntimeContext) -> IActor:
        self.made += 1
        return HandlingActor(self.counted)

    async def counted(
        self, context: IActorRuntimeContext, message: ActorRequestMessage
    ) -> Any:
        """Counts the turn in its own state and does what is to be done."""
        self.ran.setdefault(context.actor_id, []).append(message.message_id)
        await context.write_state("n", await context.read_state("n", 0) + 1)
        return await self.handle(context, message)

    # --- what is sent

    async def send(
        self,
        params: Any = None,
        actor_id: ActorId = ONE,
        message_id: str | None = None,
        **more: Any,
    ) -> ActorResponseHandle:
        """Send a request, which is then remembered if it was accepted."""
        metadata = {"authorization": SECRET}
        sending = self.client.send_request(
            actor_id, "run", params, message_id, metadata=metadata, **more
        )
        handle = await asyncio.wait_for(sending, self.patience)
        self.accepted[actor_id, handle.message_id] = handle
        return handle

    async def ask(self, params: Any = None, **more: Any) -> ActorResponseMessage:
        """Send a request and wait for its response."""
        handle = await self.send(params, **more)
        return await asyncio.wait_for(handle.get_response(), self.patience)

    async def others_answer(self) -> None:
        """(c) Another actor answers, now, and the loop is not held up."""
        response = await self.ask("here", actor_id=BYSTANDER)
        assert response.data == "here"

    async def remember(self, message_id: str, actor_id: ActorId = ONE) -> Said:
        """Look up a request that an earlier process sent; its end is judged, too."""
        handle = await self.client.get_response(actor_id, message_id)
        self.accepted[actor_id, message_id] = handle
        response = await asyncio.wait_for(handle.get_response(), self.patience)
        return response.status, response.data

    # --- what must hold

    async def judge(self, *failed: str, same_actor: ActorId | None = ONE) -> None:
        """Everything above, once the fault is over.

        Args:
            failed: the messages of the turns that belong into the log as errors.
            same_actor: who must answer again; None: nobody can.
        """
        if same_actor is not None:
            self.handle = echo
            again = await self.ask("again", actor_id=same_actor)
            assert (again.status, again.data) == (RequestStatus.COMPLETED, "again")
        told = {key: await self._answer(one) for key, one in self.accepted.items()}
        for actor_id in {actor_id for actor_id, _ in told}:
            of_actor = {
                key[1]: said for key, said in told.items() if key[0] == actor_id
            }
            await self._judge_actor(actor_id, of_actor)
        self._judge_log(failed)

    async def _answer(self, handle: ActorResponseHandle) -> Said | AgentRuntimeError:
        """(a) What a sender is told in the end, within bounds."""
        try:
            response = await asyncio.wait_for(handle.get_response(), self.patience)
        except AgentRuntimeError as error:
            return error
        assert response.status.is_final
        return response.status, response.data

    async def _judge_actor(
        self, actor_id: ActorId, told: Mapping[str, Said | AgentRuntimeError]
    ) -> None:
        storage = self.storage
        store = storage.inner if isinstance(storage, FaultyStorage) else storage
        turns = await store.read_turns(actor_id, limit=10_000)
        of_id = {turn.message_id: turn for turn in turns}
        assert len(of_id) == len(turns), f"{actor_id}: a message has two turns"
        positions = [turn.position for turn in turns]
        assert positions == sorted(set(positions)), f"{actor_id}: {positions}"
        for message_id, said in told.items():
            await self._judge_turn(actor_id, of_id[message_id], said)
        runs = self.ran.get(actor_id, [])
        order = [of_id[one].position for one in dict.fromkeys(runs)]
        assert order == sorted(order), f"{actor_id}: ran in the order {runs}"
        for turn in turns:
            times = runs.count(turn.message_id)
            assert times <= turn.attempts, f"{turn}: {times} runs were not counted"
        if runs:
            completed = [one.status for one in turns].count(RequestStatus.COMPLETED)
            values = (await store.read_state(actor_id)).values
            counted = int(values.get("n", b"0"))
            assert counted == completed, f"{actor_id}: {counted} of {completed} turns"

    async def _judge_turn(
        self, actor_id: ActorId, turn: TurnRecord, said: Said | AgentRuntimeError
    ) -> None:
        assert turn.status.is_final, f"{actor_id}: {turn} never ended"
        found = await self.client.get_response(actor_id, turn.message_id)
        stored = await self._answer(found)
        if not isinstance(said, AgentRuntimeError):
            assert stored == said, f"{actor_id}: {turn.message_id} has two answers"

    def _judge_log(self, failed: Sequence[str]) -> None:
        text = logging.Formatter().format
        ours = [one for one in self._log if one.name.startswith("agent_runtime_nb")]
        errors = [text(one) for one in ours if one.levelno >= logging.ERROR]
        for message_id in failed:
            about = [one for one in errors if message_id in one.splitlines()[0]]
            assert len(about) == 1, f"{message_id}: {errors}"
            assert "worker/" in about[0].splitlines()[0]
        assert len(errors) == len(failed), errors
        assert not [one for one in self._log if SECRET in text(one)]
