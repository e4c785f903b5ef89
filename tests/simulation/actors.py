"""The actor of the simulation: does what its request says, step by step."""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any, Protocol, TypeAlias

from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorRequestMessage,
    ActorResponseMessage,
    IActor,
    IActorRuntimeContext,
    RequestStatus,
)
from tests.simulation.history import Run

_DEEPEST = 3
STUBBORN = 7.0
"""Seconds that the most stubborn turn goes on after it was cancelled."""


class Boom(Exception):
    """What an actor raises."""


class Observer(Protocol):
    """Who is told of runs."""

    def begins(
        self, context: IActorRuntimeContext, message: ActorRequestMessage
    ) -> Run:
        """An actor begins to process a request."""
        ...

    def ends(self, run: Run) -> None:
        """It has ended, however."""
        ...

    def tells(self, teller: Run, target: ActorId, message_id: str, params: Any) -> None:
        """A turn has staged a message to an actor."""
        ...

    async def asks(
        self,
        context: IActorRuntimeContext,
        target: ActorId,
        message_id: str,
        params: Any,
    ) -> None:
        """A turn asks another actor, and waits for the answer."""
        ...


class Worker(IActor):
    """Adds each request's id to a log in its state, and does the request's steps."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    async def run(self, context: IActorRuntimeContext) -> None:
        async for message in context.watch_messages():
            run = self._observer.begins(context, message)
            try:
                if not await self._process(context, message, run):
                    return
            finally:
                self._observer.ends(run)

    async def _process(
        self, context: IActorRuntimeContext, message: ActorRequestMessage, run: Run
    ) -> bool:
        """Whether the run goes on."""
        turn = _Turn(context, message, self._observer, run)
        await turn.log()
        for word, value in message.params["steps"]:
            try:
                go_on = await _STEPS[word](turn, value)
            except asyncio.CancelledError:
                if not message.params.get("partial"):
                    raise
                turn.complete(RequestStatus.COMPLETED)
                return True
            if go_on is not None:
                return go_on
        turn.complete(RequestStatus.COMPLETED)
        return True

    async def dispose(self) -> None:
        pass


class _Turn:
    def __init__(
        self,
        context: IActorRuntimeContext,
        message: ActorRequestMessage,
        observer: Observer,
        run: Run,
    ) -> None:
        self.context = context
        self.message = message
        self.observer = observer
        self.run = run
        self.told: list[tuple[str, str]] = []
        self.asked = 0
        self.count = 0
        self.sequence = 0

    async def log(self) -> None:
        log: list[str] = await self.context.read_state("log", [])
        await asyncio.sleep(0)
        log.append(self.message.message_id)
        self.count = len(log)
        await self.context.write_state("log", log)
        self.context.append_entries([self.message.message_id])

    def complete(self, status: RequestStatus) -> None:
        response = ActorResponseMessage(
            message_id=self.message.message_id,
            sender_id=self.context.actor_id,
            status=status,
            data={"count": self.count, "told": self.told},
        )
        self.context.complete_request(self.message.message_id, response)


async def _pause(_: _Turn, seconds: float) -> None:
    await asyncio.sleep(seconds)


async def _progress(turn: _Turn, value: Any) -> None:
    turn.sequence += 1
    turn.context.on_progress_update(turn.message.message_id, turn.sequence, value)


async def _checkpoint(turn: _Turn, value: Any) -> None:
    await turn.context.checkpoint(turn.message.message_id, value)


async def _read_turns(turn: _Turn, limit: int) -> None:
    await turn.context.read_turns(limit=limit)


async def _stubborn(_: _Turn, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while (left := until - loop.time()) > 0:
        try:
            await asyncio.sleep(left)
        except asyncio.CancelledError:
            continue


async def _raises(_: _Turn, kind: str) -> None:
    errors: dict[str, type[BaseException]] = {
        "boom": Boom,
        "exit": SystemExit,
        "interrupt": KeyboardInterrupt,
        "cancelled": asyncio.CancelledError,
    }
    raise errors[kind](kind)


async def _fails(turn: _Turn, _: Any) -> bool:
    turn.complete(RequestStatus.FAILED)
    return True


async def _raises_late(turn: _Turn, _: Any) -> bool:
    turn.complete(RequestStatus.COMPLETED)
    raise Boom("late")


async def _leaves(_: _Turn, how: str) -> bool:
    return how == "next"


async def _not_json(turn: _Turn, _: Any) -> None:
    await turn.context.write_state("odd", object())


async def _tell(turn: _Turn, value: Any) -> None:
    instance_id, params = value
    target = ActorId("worker", instance_id)
    message_id = turn.context.tell(target, "run", params)
    turn.told.append((instance_id, message_id))
    turn.observer.tells(turn.run, target, message_id, params)


async def _ask(turn: _Turn, value: Any) -> None:
    instance_id, params = value
    turn.asked += 1
    message_id = f"{turn.message.message_id}>{turn.asked}"
    target = ActorId("worker", instance_id)
    await turn.observer.asks(turn.context, target, message_id, params)


Step: TypeAlias = tuple[str, Any]
_STEPS: dict[str, Callable[[_Turn, Any], Any]] = {
    "pause": _pause,
    "progress": _progress,
    "checkpoint": _checkpoint,
    "read turns": _read_turns,
    "stubborn": _stubborn,
    "raise": _raises,
    "fail": _fails,
    "raise late": _raises_late,
    "leave": _leaves,
    "not json": _not_json,
    "tell": _tell,
    "ask": _ask,
}


def random_params(random: Random, depth: int = 0) -> dict[str, Any]:
    """What one request asks for; what it tells and asks others may do so, too."""
    number = random.choice([0, 1, 1, 2, 3])
    steps = [_random_step(random) for _ in range(number)]
    if depth < _DEEPEST and random.random() < 0.2:
        other = f"a{random.randint(0, 2)}", random_params(random, depth + 1)
        word = random.choice(["tell", "tell", "ask"])
        steps.insert(random.randint(0, number), (word, other))
    if random.random() < 0.25:
        steps.append(_random_end(random))
    params: dict[str, Any] = {"steps": steps}
    if random.random() < 0.3:
        params["partial"] = True
    return params


def _random_step(random: Random) -> Step:
    word = random.choice(["pause", "pause", "pause", "progress", "checkpoint", "read"])
    if word == "pause":
        return "pause", random.choice([0, 0.001, 0.05, 0.4, 1.5, 12.0])
    if word == "read":
        return "read turns", random.randint(1, 5)
    return word, random.randint(1, 9)


def _random_end(random: Random) -> Step:
    return random.choice(
        [
            ("raise", "boom"),
            ("raise", "boom"),
            ("raise", "exit"),
            ("raise", "interrupt"),
            ("raise", "cancelled"),
            ("fail", None),
            ("raise late", None),
            ("leave", "next"),
            ("leave", "return"),
            ("not json", None),
            ("stubborn", random.choice([0.5, 3.0, STUBBORN])),
        ]
    )
