"""The kernel's side of the second channel: who gets a ticket, when, and what it moves."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from agent_runtime_nb.exceptions import LoopBlocked
from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.side_channel.channel import TicketGrant
from agent_runtime_nb.side_channel.tickets import Deliver, Ticket, Tickets
from agent_runtime_nb.widgets.chat_panel import side_channel
from agent_runtime_nb.widgets.chat_panel.panel import ChatPanel
from tests.widgets.front_end import FrontEnd
from tests.widgets.panels import Panels, ended, look

PAGE = "http://127.0.0.1:8888"
OTHER = "http://localhost:8888"
URL = "http://127.0.0.1:4321"


class FakeSideChannel:
    """Leads to a server that is there or not; keeps what was asked of it."""

    def __init__(self) -> None:
        self.tickets = Tickets()
        self.tickets.is_open = True
        self.problem = ""
        self.opened: list[tuple[ActorId, str]] = []
        self.given: list[Ticket] = []
        self.deliver: Deliver | None = None
        self.listeners: list[Callable[[], None]] = []

    def open(
        self, actor_id: ActorId, origin: str, deliver: Deliver
    ) -> TicketGrant | str:
        self.opened.append((actor_id, origin))
        self.deliver = deliver
        if self.problem:
            return self.problem
        self.given.append(self.tickets.issue(actor_id, origin, deliver))
        return TicketGrant((URL,), self.tickets.server, self.given[-1])

    def listen(self, changed: Callable[[], None]) -> None:
        self.listeners.append(changed)

    def unlisten(self, changed: Callable[[], None]) -> None:
        self.listeners.remove(changed)

    def notify(self) -> None:
        for changed in self.listeners:
            changed()

    async def send(self, actor: str, **message: Any) -> bool:
        assert self.deliver is not None
        return await self.deliver(ActorId.parse(actor), message)


@pytest.fixture
def channel() -> FakeSideChannel:
    return FakeSideChannel()


async def ask(
    front_end: FrontEnd, origin: str = PAGE, state: str = "asking"
) -> dict[str, Any]:
    """What the kernel answers to a page that says its origin."""
    front_end.messages = [one for one in front_end.messages if one["type"] != "ticket"]
    front_end.say("side_channel", origin=origin, state=state)
    return await front_end.heard("ticket")


async def run_gated(
    panels: Panels, channel: FakeSideChannel
) -> tuple[ChatPanel, FrontEnd]:
    """A panel whose page has a ticket, and a turn in it that waits."""
    panel, front_end = await panels.open("gated/c1", side_channel=channel)
    await ask(front_end)
    front_end.say("send", text="go", message_id="m1")
    await front_end.until(ended("running"))
    return panel, front_end


# --- tickets --------------------------------------------------------------------------


async def test_a_page_that_says_its_origin_gets_a_ticket_for_its_conversation(
    panels: Panels, channel: FakeSideChannel
):
    _, front_end = await panels.open("scripted/c1", side_channel=channel)

    answer = await ask(front_end)

    assert answer == {
        "type": "ticket",
        "origin": PAGE,
        "open": True,
        "ticket": channel.given[0].secret,
        "urls": [URL],
        "server": channel.tickets.server,
    }
    assert channel.opened == [(ActorId("scripted", "c1"), PAGE)]


async def test_the_ticket_is_in_no_state_repr_or_picture(
    panels: Panels, channel: FakeSideChannel
):
    panel, front_end = await panels.open("scripted/c1", side_channel=channel)
    answer = await ask(front_end)

    state = cast("Any", panel).get_state()
    shown = [repr(panel), panel.to_markdown(), str(state)]
    shown += [str(front_end.picture), str(panel._repr_mimebundle_())]

    assert all(answer["ticket"] not in one for one in shown)


async def test_a_page_that_has_its_ticket_is_only_renewed(
    panels: Panels, channel: FakeSideChannel
):
    now = [0.0]
    channel.tickets = Tickets(clock=lambda: now[0])
    _, front_end = await panels.open("scripted/c1", side_channel=channel)
    await ask(front_end)

    for _ in range(3):
        now[0] += 100
        front_end.messages.clear()
        front_end.say("side_channel", origin=PAGE, state="open")
        front_end.say("ping")
        await front_end.heard("pong")

    assert len(channel.given) == 1
    assert channel.given[0].renew()


async def test_a_page_that_lost_its_ticket_gets_another_and_the_old_one_ends(
    panels: Panels, channel: FakeSideChannel
):
    _, front_end = await panels.open("scripted/c1", side_channel=channel)
    first = await ask(front_end)

    second = await ask(front_end)
    channel.given[1].revoke()
    third = await ask(front_end, state="open")  # it believes so

    assert len({one["ticket"] for one in (first, second, third)}) == 3
    assert [ticket.renew() for ticket in channel.given] == [False, False, True]


async def test_each_origin_has_its_own_ticket_and_the_oldest_of_many_ends(
    panels: Panels, channel: FakeSideChannel
):
    _, front_end = await panels.open("scripted/c1", side_channel=channel)
    for port in range(9):
        await ask(front_end, f"http://127.0.0.1:{port}")

    lives = [ticket.renew() for ticket in channel.given]

    assert lives == [False, *[True] * 8]


async def test_a_page_without_a_web_address_is_sent_the_reason(
    panels: Panels, channel: FakeSideChannel
):
    _, front_end = await panels.open("scripted/c1", side_channel=channel)

    for origin in ("null", "vscode-webview://abc", "", "http://a/b", "http://a b"):
        answer = await ask(front_end, origin)
        assert (answer["open"], answer["origin"]) == (False, origin)
        assert "no web address" in answer["reason"]
    assert channel.opened == []


async def test_without_a_side_channel_the_page_is_sent_what_would_open_one(
    panels: Panels,
):
    _, front_end = await panels.open("scripted/c1")

    answer = await ask(front_end)

    assert answer["open"] is False
    assert "rt.serve()" in answer["reason"]


async def test_a_server_that_starts_or_stops_is_reported_to_the_pages_at_once(
    panels: Panels, channel: FakeSideChannel
):
    channel.problem = "not yet"
    _, front_end = await panels.open("scripted/c1", side_channel=channel)
    before = await ask(front_end)
    front_end.messages.clear()

    channel.problem = ""
    channel.notify()
    begun = await front_end.heard("ticket")
    front_end.messages.clear()
    channel.problem = "over"
    channel.notify()
    over = await front_end.heard("ticket")

    assert [one["open"] for one in (before, begun, over)] == [False, True, False]
    assert over["reason"] == "over"
    assert not channel.given[0].renew()


async def test_switching_ends_the_ticket_and_gives_one_for_the_other_conversation(
    panels: Panels, channel: FakeSideChannel
):
    _, front_end = await panels.open("scripted/c1", side_channel=channel)
    await ask(front_end)
    front_end.messages.clear()

    front_end.say("switch", instance_id="c2")
    answer = await front_end.heard("ticket")

    assert answer["ticket"] == channel.given[1].secret
    assert channel.opened[-1] == (ActorId("scripted", "c2"), PAGE)
    assert [ticket.renew() for ticket in channel.given] == [False, True]


async def test_closing_the_panel_ends_its_tickets(
    panels: Panels, channel: FakeSideChannel
):
    panel, front_end = await panels.open("scripted/c1", side_channel=channel)
    await ask(front_end)

    panel.close()
    await asyncio.sleep(0)

    assert not channel.given[0].renew()
    assert channel.listeners == []


# --- what it moves --------------------------------------------------------------------


async def test_stop_over_the_side_channel_stops_the_turn_and_the_picture_says_so(
    panels: Panels, channel: FakeSideChannel
):
    _, front_end = await run_gated(panels, channel)

    taken = await channel.send("gated/c1", type="stop", message_id="m1")
    await front_end.until(ended("cancelled"))
    again = await channel.send("gated/c1", type="stop", message_id="m1")

    assert taken
    assert again  # nothing more happens
    assert [turn["status"] for turn in front_end.picture["turns"]] == ["cancelled"]


async def test_an_approval_answered_over_the_side_channel_and_the_channel_counts_once(
    panels: Panels, channel: FakeSideChannel
):
    _, front_end = await panels.open("scripted/c1", side_channel=channel)
    await ask(front_end)
    front_end.say("send", text="delete notes.txt", message_id="m1")
    turn = await front_end.until(ended("completed"))
    request = next(one for one in turn["items"] if one["kind"] == "approval")
    answer = {"turn": "m1", "request_id": request["id"], "decision": "once"}

    taken = await channel.send("scripted/c1", type="answer", **answer)
    front_end.say("answer", **answer)
    await front_end.until(lambda picture: len(picture["turns"]) == 2)
    await front_end.until(ended("completed"))

    assert taken
    assert [turn["id"] for turn in front_end.picture["turns"]] == ["m1", "m1-answer"]


async def test_what_is_not_of_the_shown_conversation_is_not_taken(
    panels: Panels, channel: FakeSideChannel
):
    _, front_end = await run_gated(panels, channel)

    unknown = await channel.send("gated/c1", type="stop", message_id="m2")
    foreign = await channel.send("gated/c2", type="stop", message_id="m1")

    assert not unknown
    assert not foreign
    assert front_end.picture["turns"][0]["status"] == "running"


async def test_a_sign_of_life_over_the_side_channel_keeps_the_panel_watching(
    panels: Panels, channel: FakeSideChannel
):
    panel, front_end = await panels.open("gated/c1", side_channel=channel)
    await ask(front_end)
    panel._detach()

    taken = await channel.send("gated/c1", type="ping")

    assert taken
    assert panel._following is not None


async def test_a_loop_that_does_not_get_to_it_is_an_error_in_time(
    panels: Panels, channel: FakeSideChannel, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(side_channel, "_HAND_OVER", 0.05)
    panel, front_end = await run_gated(panels, channel)
    waiting: list[Any] = []

    def call_later(*function_and_arguments: Any) -> None:
        waiting.extend(function_and_arguments)

    panel._side_channel._call = call_later

    with pytest.raises(LoopBlocked):
        await channel.send("gated/c1", type="stop", message_id="m1")
    take, *arguments = waiting
    take(*arguments)  # later: the sender has given it up

    assert front_end.picture["turns"][0]["status"] == "running"


async def test_a_read_only_panel_gives_no_tickets(
    panels: Panels, channel: FakeSideChannel
):
    panel = panels.panel("scripted/c1", side_channel=channel, read_only=True)
    front_end = await look(panel)

    answer = await ask(front_end)

    assert answer["open"] is False
    assert channel.opened == []
