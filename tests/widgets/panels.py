"""Panels over a real runtime, each with a front end, and what tests ask of them."""

from typing import Any

from agent_runtime_nb._client import InProcessActorClient
from agent_runtime_nb.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
)
from agent_runtime_nb.widgets.chat_panel import ChatPanel
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
    times = ("started_at", "duration")
    return [
        {key: value for key, value in turn.items() if key not in times}
        for turn in picture["turns"]
    ]
