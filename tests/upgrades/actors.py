"""The actors of the fixtures: those of the process that wrote them and of later ones."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from agent_framework import Message, tool
from agent_framework.exceptions import ChatClientException

from agent_runtime_nb import (
    ActorId,
    ActorRequestMessage,
    ActorResponseMessage,
    IActor,
    IActorRuntimeContext,
    IActorStateStorage,
    InProcessActorRuntime,
    MockAIAgent,
    RequestStatus,
    RestartPolicy,
)
from agent_runtime_nb.agents.actor import AgentActor
from agent_runtime_nb.agents.samples import Pace, Step, call_tool, scripted_agent


class Gate:
    """Where turns wait for ever, unless it is open; says how many have come."""

    def __init__(self, *, is_open: bool) -> None:
        self._passing = asyncio.Event()
        if is_open:
            self._passing.set()
        self._here: asyncio.Queue[None] = asyncio.Queue()

    async def hold(self, _: float = 0.0) -> None:
        self._here.put_nowait(None)
        await self._passing.wait()

    async def reached(self) -> None:
        """Somebody more is here."""
        async with asyncio.timeout(20):
            await self._here.get()


class Worker(IActor):
    """An actor written by hand: keeps values, tells, fails, waits at the gate."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def run(self, context: IActorRuntimeContext) -> None:
        async for request in context.watch_messages():
            status, data = await self._answer(context, request)
            context.append_entries([{"asked": request.method, "answered": data}])
            answer = ActorResponseMessage(
                request.message_id, context.actor_id, status, data
            )
            context.complete_request(request.message_id, answer)

    async def _answer(
        self, context: IActorRuntimeContext, request: ActorRequestMessage
    ) -> tuple[RequestStatus, Any]:
        params: Any = request.params
        match request.method:
            case "keep":
                for key, value in params.items():
                    await context.write_state(key, value)
                return RequestStatus.COMPLETED, {"kept": sorted(params)}
            case "recall":
                values = {key: await context.read_state(key) for key in params}
                return RequestStatus.COMPLETED, values
            case "tell":
                target = ActorId.parse(params["to"])
                for said in params["say"]:
                    context.tell(target, "hear", said)
                return RequestStatus.COMPLETED, {"told": len(params["say"])}
            case "hold":
                await context.checkpoint(request.message_id, {"so far": params})
                await self._gate.hold()
                return RequestStatus.COMPLETED, {"held": params}
            case "fail":
                error = {"type": "Asked", "message": params, "retryable": False}
                return RequestStatus.FAILED, {"error": error}
            case _:
                return RequestStatus.COMPLETED, {"heard": params}

    async def dispose(self) -> None:
        pass


class Agents:
    """The agents of one runtime; `erased` is what their tool was allowed to erase."""

    def __init__(self, gate: Gate) -> None:
        self.erased: list[str] = []
        self._gate = gate
        self._failed: set[str] = set()

    def scripted(self) -> Any:
        @tool(approval_mode="never_require")
        def look_up(word: str) -> str:
            """Look a word up."""
            return f"{word}: found"

        @tool(approval_mode="always_require")
        def erase(path: str) -> str:
            """Erase a file."""
            self.erased.append(path)
            return f"{path} is erased"

        return scripted_agent(
            self._script, delay=0, sleep=self._gate.hold, tools=[look_up, erase]
        )

    def _script(self, messages: Sequence[Message]) -> list[Step]:
        last = messages[-1]
        if last.role == "tool":
            return ["The tools are done."]
        word, _, rest = last.text.partition(" ")
        if word == "flaky":  # it fails once
            word = "say" if rest in self._failed else "fail"
            self._failed.add(rest)
        seen = sum(one.role == "user" for one in messages)
        answers: dict[str, list[Step]] = {
            "look": ["One moment. ", call_tool(messages, "look_up", word=rest)],
            "erase": [call_tool(messages, "erase", path=rest)],
            "slow": ["Once upon a time ", Pace(1.0), "there was an actor."],
            "fail": ["I begin, ", ChatClientException("the service is away")],
            "count": [str(seen)],
        }
        return answers.get(word, [f"You said: {last.text}"])


def runtime_on(
    storage: IActorStateStorage, gate: Gate, *, host: str, more: Iterable[str] = ()
) -> tuple[InProcessActorRuntime, Agents]:
    """A runtime of the types of the story, and `more` of workers; not started.

    What becomes of requests that were left behind is in a type's name.
    """
    runtime, agents = InProcessActorRuntime(storage, host_name=host), Agents(gate)
    once = RestartPolicy(max_attempts=1)
    register = runtime.register_actor_type
    register("worker", lambda _: Worker(gate))
    register("worker-fail", lambda _: Worker(gate), on_interrupted="fail")
    register("worker-rerun", lambda _: Worker(gate), on_interrupted="rerun")
    register("fragile", lambda _: Worker(gate), on_interrupted="rerun", restart=once)
    register("scripted", lambda _: AgentActor(agents.scripted(), checkpoint_interval=0))
    for name in more:
        register(name, lambda _: Worker(gate))
    register("mock-ai", lambda _: AgentActor(MockAIAgent()))
    return runtime, agents


def approval_answers(entries: Sequence[Any], **said: Any) -> list[dict[str, Any]]:
    """Yes to each approval request in the entries of a turn, as a message's contents.

    `said`: what the answer says beside; `approved=False` is a no.
    """
    approved = said.pop("approved", True)
    properties = {"additional_properties": {"tool_approval": said}} if said else {}
    return [
        {
            "type": "function_approval_response",
            "id": content["id"],
            "approved": approved,
            "function_call": content["function_call"],
            **properties,
        }
        for entry in entries
        for content in entry["contents"]
        if content["type"] == "function_approval_request"
    ]
