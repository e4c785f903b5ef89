"""Who sends requests in the simulation, and tells the observer what comes back."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from agent_runtime_nb.exceptions import AgentRuntimeError, MessageIdReused
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorResponseHandle,
    ActorResponseMessage,
    RequestStatus,
    WhenBusy,
)
from tests.simulation.actors import random_params
from tests.simulation.chance import seeded
from tests.simulation.history import Answer, Asked, Call
from tests.simulation.world import SETTINGS, Host, World

T = TypeVar("T")

# What the runtime may need on top of a deadline: the actor's grace, a storage that is
# silent, two looks at the clock of a second each, and the way from another loop.
_SLACK = SETTINGS.cancel_grace + SETTINGS.storage_timeout + 2.0 + 6.0
_CALL_BOUND = 2 * (SETTINGS.storage_timeout + 2.0) + 6.0
_LOOK_BOUND = 2 * _CALL_BOUND
_WAIT_BOUND = SETTINGS.waiting_timeout + SETTINGS.turn_timeout + _SLACK


class Sender:
    """One client: sends, sends again, waits, cancels, looks, in a random order.

    It lives in the host's process, or outside of it, on another loop.
    """

    def __init__(self, world: World, host: Host, name: str, *, outside: bool) -> None:
        self.name = name
        self._world = world
        self._history = world.history
        self._host = host
        self._random = seeded(name, world.random.random())
        self._outside = outside
        self.waits: asyncio.TaskGroup

    async def run(self, actors: list[ActorId], operations: int) -> None:
        """Do so many things, then wait for what is still open."""
        async with asyncio.TaskGroup() as self.waits:
            for _ in range(operations):
                if self._host.stopping:
                    break
                await self._do_one(self._random.choice(actors))

    async def _do_one(self, actor_id: ActorId) -> None:
        random = self._random
        letters = self._history.letters(actor_id)
        if letters and random.random() < 0.3:
            await self.requeue(random.choice(letters))
            return
        # What actors tell has ids of the runtime's own making.
        known = [
            one
            for one in self._history.of_actor(actor_id)
            if one.told_by is None and not one.is_letter
        ]
        dice = random.random()
        if dice < 0.55 or not known:
            params = random_params(random)
            message_id = f"m{len(self._history.asked) + 1}"
            asked = Asked(actor_id, message_id, params)
            self._history.asked[actor_id, message_id] = asked
            if random.random() < 0.15:
                asked.timeout = random.choice([0.3, 2.0, 6.0])
            await self.send(asked)
        elif dice < 0.65:
            await self.send(random.choice(known))
        elif dice < 0.68:
            await self._send_other_body(random.choice(known))
        elif dice < 0.75:
            await self.look(random.choice(known))
        elif dice < 0.88:
            await self._cancel(random.choice(known[-4:]))
        else:
            await asyncio.sleep(random.choice([0, 0.001, 0.2, 1.0, 4.0]))

    # --- what it does

    async def send(self, asked: Asked) -> None:
        """Send a request, for the first time or again."""
        when_busy: WhenBusy = self._random.choice(
            ["queue", "queue", "queue", "queue", "interrupt", "reject"]
        )
        call = Call(
            self._host.name, self.name, self._history.moment(), self._world.time.now
        )
        asked.calls.append(call)
        if when_busy == "interrupt":
            for other in self._history.of_actor(asked.actor_id):
                other.cut = other.cut or other is not asked
        self._say(f"sends {asked}, {when_busy}, {asked.timeout}, {asked.params}")
        sending = self._host.client.send_request(
            asked.actor_id,
            "run",
            asked.params,
            asked.message_id,
            when_busy=when_busy,
            timeout=asked.timeout,
        )
        try:
            handle = await self._bounded(sending, _CALL_BOUND, f"sending {asked}")
        except AgentRuntimeError as error:
            call.refused = type(error).__name__
            self._say(f"is refused {asked.message_id}: {error!r}")
            return
        call.acknowledged = self._history.moment()
        call.acknowledged_at = self._world.time.now
        self._say(f"has a handle of {asked.message_id}")
        await self._wait_for(asked, handle)

    async def look(self, asked: Asked) -> None:
        """Ask for the answer of an earlier request."""
        accepted = any(call.acknowledged for call in asked.calls)
        self._say(f"looks for {asked}")
        looking = self._host.client.get_response(asked.actor_id, asked.message_id)
        try:
            handle = await self._bounded(looking, _LOOK_BOUND, f"looking for {asked}")
        except AgentRuntimeError as error:
            self._say(f"cannot look for {asked.message_id}: {error!r}")
            return
        await self._wait_for(asked, handle, may_be_missing=not accepted)

    async def _send_other_body(self, asked: Asked) -> None:
        accepted = any(call.acknowledged for call in asked.calls)
        sending = self._host.client.send_request(
            asked.actor_id, "other", {"steps": []}, asked.message_id
        )
        if not accepted:
            sending.close()
            return
        try:
            await self._bounded(sending, _CALL_BOUND, f"sending other {asked}")
        except MessageIdReused:
            self._say(f"cannot use {asked.message_id} for something else")
        except AgentRuntimeError as error:
            self._say(f"is refused other {asked.message_id}: {error!r}")
        else:
            self._history.finds("reused", f"{asked} was accepted with another body")

    async def requeue(self, letter: Asked) -> None:
        """Send again what was a dead letter at the beginning."""
        actor_id, new_id = letter.actor_id, f"{letter.message_id}~2"
        again = self._history.asked.setdefault(
            (actor_id, new_id), Asked(actor_id, new_id, letter.params, is_letter=True)
        )
        moment, now = self._history.moment(), self._world.time.now
        call = Call(self._host.name, self.name, moment, now)
        again.calls.append(call)
        self._say(f"requeues {letter}: {letter.params}")
        requeuing = self._host.runtime.requeue(actor_id, letter.message_id)
        try:
            sent = await self._bounded(requeuing, _CALL_BOUND, f"requeuing {letter}")
        except AgentRuntimeError as error:
            call.refused = type(error).__name__
            self._say(f"cannot requeue {letter.message_id}: {error!r}")
            return
        call.acknowledged = self._history.moment()
        call.acknowledged_at = self._world.time.now
        self._say(f"has requeued {letter.message_id} as {sent}")

    async def _cancel(self, asked: Asked) -> None:
        accepted, asked.cut = asked.acknowledged is not None, True
        cancelling = self._host.client.cancel(asked.actor_id, asked.message_id)
        try:
            done = await self._bounded(cancelling, 8.0, f"cancelling {asked}")
        except AgentRuntimeError as error:
            self._say(f"cannot cancel {asked.message_id}: {error!r}")
            return
        self._say(f"cancels {asked.message_id}: {done}")
        # What is just being accepted may be refused and sent again.
        asked.cancelled = asked.cancelled or (done and accepted)

    async def _wait_for(
        self, asked: Asked, handle: ActorResponseHandle, *, may_be_missing: bool = False
    ) -> None:
        answering = self._answer(asked, handle, may_be_missing=may_be_missing)
        if self._random.random() < 0.5:
            await answering
        else:
            self.waits.create_task(answering)

    async def _answer(
        self,
        asked: Asked,
        handle: ActorResponseHandle,
        *,
        may_be_missing: bool,
    ) -> None:
        watches = self._random.random() < 0.3
        waiting = self._watch(asked, handle) if watches else handle.get_response()
        # Who asks again may have come late: the bound counts from now, to be safe. What runs
        # again after a crash has the usual deadlines, its own is not stored.
        own = asked.timeout is not None and self._world.on_interrupted != "rerun"
        bound = asked.timeout + _SLACK if own and asked.timeout else _WAIT_BOUND
        try:
            response = await self._bounded(waiting, bound, f"the answer of {asked}")
        except AgentRuntimeError as error:
            self._say(f"gets no answer of {asked.message_id}: {error!r}")
            asked.lost = True
            return
        self._say(f"{asked.message_id} is {response.status.value} {response.data}")
        if response.status is RequestStatus.NOT_FOUND:
            if not may_be_missing:
                self._history.finds("lost", f"{asked} was acknowledged and not found")
            return
        if not response.status.is_final:
            self._history.finds("not final", f"{asked} was answered {response.status}")
        asked.answers.append(Answer(response.status, response.data))

    async def _watch(
        self, asked: Asked, handle: ActorResponseHandle
    ) -> ActorResponseMessage:
        seen = -1
        async for update in handle.watch_updates():
            if update.status is not RequestStatus.PENDING:
                return update
            if update.data["sequence"] <= seen:
                text = f"{asked}: update {update.data['sequence']} after {seen}"
                self._history.finds("updates", text)
            seen = update.data["sequence"]
        raise AssertionError("a watch ends with the response")

    async def _bounded(
        self, work: Coroutine[Any, Any, T], seconds: float, what: str
    ) -> T:
        """What becomes of it; that it takes longer, or fails otherwise, is a finding."""
        try:
            async with asyncio.timeout(seconds):
                return await work
        except AgentRuntimeError:
            raise
        except TimeoutError:
            if self._host.alive:
                text = f"{self.name} has waited {seconds} s for {what}"
                self._history.finds("hangs", text)
            raise AgentRuntimeError("it hangs") from None
        except BaseException as error:
            task = asyncio.current_task()
            if isinstance(error, GeneratorExit) or (task and task.cancelling()):
                raise
            self._history.finds("wrong error", f"{what}: {error!r}")
            raise AgentRuntimeError(str(error)) from error

    def _say(self, what: str) -> None:
        if self._outside or self._host.alive:
            self._world.say(self.name, what)
