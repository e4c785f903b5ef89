"""Panels over a real runtime, each with a front end, and what tests ask of them."""

from collections.abc import Callable
from typing import Any, cast

from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
)
from agent_runtime_nb.widgets.chat_panel.panel import ChatPanel
from tests.widgets.front_end import FakeComm, FrontEnd, Picture, reduce_chat


class Panels:
    """Makes panels with a front end each."""

    def __init__(
        self, client: InProcessActorClient, runtime: InProcessActorRuntime
    ) -> None:
        self.client = client
        self.runtime = runtime
        self.made: list[ChatPanel] = []

    def panel(self, actor: str = "scripted/c1", **options: Any) -> ChatPanel:
        actor_id = ActorId.parse(actor)
        panel = ChatPanel(
            self.client, self.runtime, actor_id, comm=FakeComm(), **options
        )
        self.made.append(panel)
        return panel

    async def open(
        self, actor: str = "scripted/c1", **options: Any
    ) -> tuple[ChatPanel, FrontEnd]:
        panel = self.panel(actor, **options)
        return panel, await look(panel)


def comm_of(panel: ChatPanel) -> FakeComm:
    comm = panel.comm
    assert isinstance(comm, FakeComm)
    return comm


async def look(panel: ChatPanel) -> FrontEnd:
    front_end = FrontEnd(comm_of(panel), reduce_chat)
    await front_end.until(lambda picture: picture["phase"] == "live")
    return front_end


def ended(status: str, turn: int = -1) -> Any:
    """Whether a turn has ended with a status."""

    def holds(picture: Picture) -> Any:
        turns = picture["turns"]
        there = len(turns) > turn
        return there and turns and turns[turn]["status"] == status and turns[turn]

    return holds


def texts(turn: Any, kind: str = "text") -> str:
    return "".join(item["text"] for item in turn["items"] if item["kind"] == kind)


def without_times(picture: Picture) -> Any:
    """The turns without what no store knows exactly, or at all."""
    gone = ("started_at", "duration", "ended_at", "stop_detail")

    def stripped(thing: Any) -> Any:
        if isinstance(thing, list):
            return [stripped(one) for one in cast("list[Any]", thing)]
        if isinstance(thing, dict):
            known = cast("dict[str, Any]", thing)
            return {key: stripped(known[key]) for key in known if key not in gone}
        return thing

    return stripped(picture["turns"])


async def say(client: InProcessActorClient, actor: str, *words: str) -> None:
    """Have turns in a conversation, as code does."""
    for word in words:
        message = {"role": "user", "content": word}
        handle = await client.send_request(
            ActorId.parse(actor), "run", {"messages": [message]}, word
        )
        await handle.get_response()


def is_shown(instance_id: str, *words: str) -> Callable[[Picture], bool]:
    """Whether a conversation is shown with these messages, all answered."""

    def holds(picture: Picture) -> bool:
        turns = picture["turns"]
        said = [texts(turn, "user") for turn in turns]
        ends = all(turn["status"] == "completed" for turn in turns)
        live = picture["phase"] == "live"
        return (
            live and picture["instance_id"] == instance_id and said == [*words] and ends
        )

    return holds


async def answered(page: FrontEnd, kind: str, **content: Any) -> Any:
    """What is answered to a message, beside the answers that came before."""
    page.messages = [one for one in page.messages if one["type"] in ("batch", "pong")]
    page.say(kind, **content)
    answers = ("done", "refused", "conversations", "export", "page")

    def found(_picture: Picture) -> Any:
        return next((one for one in page.messages if one["type"] in answers), None)

    return await page.until(found)
