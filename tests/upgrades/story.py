"""What happens in a fixture: the life of two hosts, told through the public API.

Whoever tells it notes what must be found later, from what it asked for and never by
reading back. The second host dies in the middle as the first one did.
"""

from collections.abc import Sequence
from typing import Any

from agent_runtime_nb import (
    ActorId,
    IActorClient,
    InProcessActorClient,
    InProcessActorRuntime,
)
from agent_runtime_nb.conversations.json_format import import_conversation, to_json
from agent_runtime_nb.conversations.reading import read_conversation
from tests.upgrades.actors import Gate, approval_answers, runtime_on
from tests.upgrades.databases import Database

TALK = ActorId("scripted", "Grüße 🌍 {1}/%")
LARGE = ActorId("scripted", "large")
FORK = ActorId("scripted", "fork")
EDIT = ActorId("scripted", "edit")
IMPORTED = ActorId("scripted", "imported")
PENDING = ActorId("scripted", "pending")
ALLOWED = ActorId("scripted", "allowed")
DENIED = ActorId("scripted", "denied")
BROKEN = ActorId("scripted", "broken off")
STREAMING = ActorId("scripted", "streaming")
MOCK = ActorId("mock-ai", "counts")
VALUES = ActorId("worker", "values")
TRIMMED = ActorId("worker", "trimmed")
DELETED = ActorId("worker", "deleted")
TELLER = ActorId("worker", "teller")
RECEIVER = ActorId("later", "receiver")
DEADLY = ActorId("fragile", "deadly")
OPEN = [ActorId(name, "open") for name in ("worker", "worker-fail", "worker-rerun")]

STORED = {
    "plain": {"n": 1, "list": [1.5, None, True, "x"]},
    "schlüssel/日本 %_*": "é☃\u0000🌍",
    "": "the empty key",
    "large": "0123456789" * 900 + "é☃",
}

Turns = list[dict[str, Any]]


class Expected:
    """What must be found, conversation by conversation; `data` is JSON."""

    def __init__(self) -> None:
        self.data: dict[str, Any] = {"conversations": {}, "deleted": {}, "tells": []}

    def conversation(self, actor_id: ActorId, turns: Turns, **facts: Any) -> None:
        """One with these turns that have ended or, at the end, are open."""
        self.data["conversations"][str(actor_id)] = {
            "name": None,
            "parent": None,
            "forked_at": None,
            "discarded": [],
            "allowed_tools": [],
            **facts,
            "turns": turns,
        }


def said(
    message_id: str, status: str, text: str, answer: str, **facts: Any
) -> dict[str, Any]:
    """A turn with an agent."""
    texts = {"said": text, "answered": answer}
    return {"message_id": message_id, "status": status, "attempts": 1} | texts | facts


def asked(message_id: str, status: str, **facts: Any) -> dict[str, Any]:
    """A turn with an actor that is written by hand."""
    return {"message_id": message_id, "status": status, "attempts": 1} | facts


def message(text: str) -> dict[str, Any]:
    """The params of a request to an agent."""
    return {"messages": [{"role": "user", "content": text}]}


class Scene:
    """A running runtime, and short words for what is done with it."""

    def __init__(self, runtime: InProcessActorRuntime) -> None:
        self.runtime = runtime
        self.client: IActorClient = InProcessActorClient(runtime)

    async def send(
        self,
        actor_id: ActorId,
        message_id: str,
        params: Any,
        method: str = "run",
        **more: Any,
    ) -> Any:
        """Send a request; returns its handle."""
        given = message(params) if isinstance(params, str) else params
        if method != "run":
            given = params
        return await self.client.send_request(
            actor_id, method, given, message_id, **more
        )

    async def ask(self, *given: Any, **more: Any) -> Any:
        """Send a request and wait; returns the response."""
        return await (await self.send(*given, **more)).get_response()

    async def answer(self, actor_id: ActorId, message_id: str, **how: Any) -> None:
        """Answer the approval requests of the last turn."""
        [*_, last] = (await read_conversation(self.runtime, actor_id)).turns
        contents = approval_answers(last.entries, **how)
        params = {"messages": [{"role": "user", "contents": contents}]}
        await self.ask(actor_id, message_id, params)


async def tell_story(first: Database, second: Database) -> tuple[dict[str, Any], bytes]:
    """Fill two databases; returns what must be found, and what the second one stored."""
    await second.load(await _first_life(first))
    expected, gate = Expected(), Gate(is_open=False)
    storage = second.storage()
    runtime, _ = runtime_on(storage, gate, host="the second host")
    await runtime.start()
    try:
        scene = Scene(runtime)
        await _ends_of_the_first_life(scene, expected)
        await _talk(scene, gate, expected)
        await _branches(scene, expected)
        await _approvals(scene, expected)
        await _by_hand(scene, expected)
        await storage.trim(TRIMMED, 1)
        await _open_turns(scene, gate, expected)
        await _tells(scene, expected)  # last: nobody of that type is tried for long
        return expected.data, await second.dump()
    finally:
        await runtime.stop(drain=0)


async def _first_life(database: Database) -> bytes:
    gate = Gate(is_open=False)
    runtime, _ = runtime_on(database.storage(), gate, host="the first host")
    await runtime.start()
    try:
        scene = Scene(runtime)
        await scene.send(DEADLY, "deadly-1", "its host dies", "hold")
        await gate.reached()
        await scene.send(BROKEN, "broken-1", "slow story")
        await gate.reached()
        await scene.send(BROKEN, "broken-2", "and then?")
        return await database.dump()
    finally:
        await runtime.stop(drain=0)


async def _ends_of_the_first_life(scene: Scene, expected: Expected) -> None:
    handle = await scene.client.get_response(DEADLY, "deadly-1")
    await handle.get_response()
    error = {"type": "DeadLetter"}
    dead = asked(
        "deadly-1", "failed", error=error, checkpoint={"so far": "its host dies"}
    )
    expected.conversation(DEADLY, [dead])
    expected.data["dead_letters"] = [
        {"actor": str(DEADLY), "message_id": "deadly-1", "attempts": 1}
    ]
    partial = said("broken-1", "interrupted", "slow story", "Once upon a time ")
    never = said("broken-2", "interrupted", "and then?", "", attempts=0)
    expected.conversation(BROKEN, [partial, never])


async def _talk(scene: Scene, gate: Gate, expected: Expected) -> None:
    hello = "Hello, Grüße ☃ שלום"
    headers = {"traceparent": "00-é"}
    await scene.ask(TALK, "talk-1", hello, metadata=headers)
    await scene.ask(TALK, "talk-2", "fail please")
    slow = await scene.send(TALK, "talk-3", "slow story")
    await gate.reached()
    waiting = await scene.send(TALK, "talk-4", "never mind")
    await scene.runtime.withdraw(TALK, "talk-4")
    await slow.cancel()
    await slow.get_response()
    await waiting.get_response()
    await scene.ask(TALK, "talk-5", "look actor")
    await scene.ask(TALK, "talk-6", "flaky one")
    again = await scene.runtime.run_again(TALK, "talk-6")
    await (await scene.client.get_response(TALK, again)).get_response()
    await scene.runtime.discard(TALK, "talk-2")
    await scene.runtime.rename(TALK, "Ünïcode ☃ and “quotes”")
    retry = {"retry_of": "talk-6"}
    expected.conversation(
        TALK,
        [
            said("talk-1", "completed", hello, f"You said: {hello}", metadata=headers),
            said("talk-2", "failed", "fail please", "I begin, "),
            said("talk-3", "cancelled", "slow story", "Once upon a time "),
            said("talk-4", "cancelled", "never mind", "", attempts=0),
            said(
                "talk-5", "completed", "look actor", "One moment. The tools are done."
            ),
            said("talk-6", "failed", "flaky one", "I begin, "),
            said(
                again, "completed", "flaky one", "You said: flaky one", metadata=retry
            ),
        ],
        name="Ünïcode ☃ and “quotes”",
        discarded=["talk-2"],
        seen_by_the_model=["talk-1", "talk-3", "talk-5", again],
    )
    text = "large " * 1000 + "é☃🌍"
    await scene.ask(LARGE, "large-1", text)
    expected.conversation(
        LARGE, [said("large-1", "completed", text, f"You said: {text}")]
    )


async def _branches(scene: Scene, expected: Expected) -> None:
    known = expected.data["conversations"][str(TALK)]
    turns: Turns = known["turns"]
    name = f"{known['name']} (fork)"
    await scene.runtime.fork(TALK, at="talk-1", to=FORK)
    await scene.ask(FORK, "fork-2", "on another way")
    more = said("fork-2", "completed", "on another way", "You said: on another way")
    expected.conversation(
        FORK, [turns[0], more], name=name, parent=str(TALK), forked_at="talk-1"
    )
    await scene.runtime.fork(TALK, before="talk-5", to=EDIT)
    await scene.ask(EDIT, "edit-5", "look runtime")
    edited = said(
        "edit-5", "completed", "look runtime", "One moment. The tools are done."
    )
    expected.conversation(
        EDIT,
        [*turns[:4], edited],
        name=name,
        parent=str(TALK),
        forked_at="talk-4",
        discarded=["talk-2"],
    )
    talk = await read_conversation(scene.runtime, TALK)
    await import_conversation(scene.runtime, to_json(talk), to=IMPORTED)
    expected.conversation(IMPORTED, turns, name=known["name"], discarded=["talk-2"])


async def _approvals(scene: Scene, expected: Expected) -> None:
    await scene.ask(PENDING, "pending-1", "erase notes.txt")
    request = {"tool": "erase", "arguments": {"path": "notes.txt"}}
    expected.conversation(
        PENDING,
        [said("pending-1", "completed", "erase notes.txt", "", approval=request)],
    )
    answered: dict[ActorId, dict[str, Any]] = {
        ALLOWED: {"always_approve": "tool"},
        DENIED: {"approved": False, "reason": "keep it"},
    }
    for actor_id, how in answered.items():
        name = actor_id.instance_id
        await scene.ask(actor_id, f"{name}-1", "erase a.txt")
        await scene.answer(actor_id, f"{name}-2", **how)
        turns = [
            said(f"{name}-1", "completed", "erase a.txt", ""),
            said(f"{name}-2", "completed", "", "The tools are done."),
        ]
        tools = ["erase"] if "always_approve" in how else []
        expected.conversation(actor_id, turns, allowed_tools=tools)


async def _by_hand(scene: Scene, expected: Expected) -> None:
    await scene.ask(VALUES, "values-1", STORED, "keep")
    await scene.ask(VALUES, "values-2", "asked to", "fail")
    expected.conversation(
        VALUES,
        [
            asked("values-1", "completed", data={"kept": sorted(STORED)}),
            asked("values-2", "failed", error={"type": "Asked", "message": "asked to"}),
        ],
        values=STORED,
    )
    kept: Turns = []
    for number in (1, 2, 3):
        await scene.ask(TRIMMED, f"trimmed-{number}", number, "hear")
        data = {"heard": number}
        entries = [{"asked": "hear", "answered": data}]
        left = data if number == 3 else None
        turn = asked(f"trimmed-{number}", "completed", data=left, entries=entries)
        kept.append(turn)
    expected.conversation(TRIMMED, kept)
    for number in (1, 2):
        await scene.ask(DELETED, f"deleted-{number}", {"secret": number}, "keep")
    await scene.runtime.delete_actor(DELETED)
    expected.data["deleted"] = {str(DELETED): {"positions": 2, "values": ["secret"]}}
    for number in (1, 2):
        await scene.ask(MOCK, f"mock-{number}", "next")
    canned: Sequence[str] = (
        "Hello! How can I help you today?",
        "That is an interesting question. Let me think about it.",
    )
    expected.conversation(
        MOCK,
        [
            said(f"mock-{n}", "completed", "next", answer)
            for n, answer in enumerate(canned, 1)
        ],
    )


async def _open_turns(scene: Scene, gate: Gate, expected: Expected) -> None:
    for actor_id in OPEN:
        await scene.send(actor_id, "open-1", "running", "hold")
        await gate.reached()
        await scene.send(actor_id, "open-2", {"kept": "later"}, "keep")
        await scene.send(actor_id, "open-3", "waiting", "hear")
        running = asked("open-1", "pending", checkpoint={"so far": "running"})
        waiting = [asked(f"open-{n}", "pending", attempts=0) for n in (2, 3)]
        expected.conversation(actor_id, [running, *waiting])
    await scene.send(STREAMING, "streaming-1", "slow story")
    await gate.reached()
    await scene.send(STREAMING, "streaming-2", "and then?")
    expected.conversation(
        STREAMING,
        [
            said("streaming-1", "pending", "slow story", "Once upon a time "),
            said("streaming-2", "pending", "and then?", "", attempts=0),
        ],
    )


async def _tells(scene: Scene, expected: Expected) -> None:
    words = ["first", "second ☃"]
    params = {"to": str(RECEIVER), "say": words}
    await scene.ask(TELLER, "tell-1", params, "tell")
    expected.conversation(TELLER, [asked("tell-1", "completed", data={"told": 2})])
    expected.data["tells"] = [{"to": str(RECEIVER), "said": words}]
