"""What a look at many conversations costs: a few calls of the storage for each page."""

from collections.abc import AsyncIterator

import pytest

from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.storage.memory import InMemoryStateStorage
from agent_runtime_nb.storage_abstractions import ActorChange, HostInfo, TurnRecord
from agent_runtime_nb.testing.faults.plans import FaultStep
from agent_runtime_nb.testing.faults.storage import FaultyStorage
from agent_runtime_nb.widgets.chat_panel.menu import ConversationMenu
from agent_runtime_nb.widgets.chat_panel.panel import ChatPanel
from tests.widgets.front_end import FakeComm

MANY = 1000
DEAD = 200


class Looks:
    """A runtime over many stored conversations; counts the calls of its storage.

    The last one was forked from the first; some have dead letters.
    """

    def __init__(self) -> None:
        self.calls = 0
        self.storage = FaultyStorage(InMemoryStateStorage(), self._count)
        self.runtime = InProcessActorRuntime(self.storage)

    def _count(self, _: FaultStep) -> None:
        self.calls += 1

    async def fill(self) -> None:
        """Have an earlier host store them."""
        storage = self.storage.inner
        await storage.open(HostInfo("earlier", "earlier"))
        for number in range(MANY):
            actor_id = ActorId("echo", f"c{number:04}")
            epoch = (await storage.claim(actor_id)).epoch
            change = ActorChange(epoch, new_etag=f"e{number}")
            parent = b"null"
            if number == MANY - 1:
                parent = b'{"actor": "echo/c0000", "message_id": null, "at": 2.0}'
            change.accepted = (TurnRecord(1, "m1", ended_at=1.0),)
            change.set = {
                "$conversation": b'{"name": "Number %d", "parent": %b}'
                % (number, parent),
                "session": b'"' + b"x" * 1000 + b'"',
            }
            if number < DEAD:
                note = b'{"attempts": 3, "at": 1.0, "reason": "died"}'
                change.set = {**change.set, "$dead/m1": note}
                change.add_marks = frozenset({"dead"})
            await storage.apply(actor_id, change)
        await storage.close()


@pytest.fixture
async def looks() -> AsyncIterator[Looks]:
    looks = Looks()
    await looks.fill()
    await looks.runtime.start()
    looks.calls = 0
    yield looks
    await looks.runtime.stop(drain=0)


async def test_a_page_of_200_conversations_costs_two_calls(looks: Looks) -> None:
    page = await looks.runtime.list_conversations("echo", limit=200)

    names = [info.name for info in page.items]
    assert names == [f"Number {number}" for number in range(200)]
    assert looks.calls == 2


async def test_a_page_of_dead_letters_of_200_actors_costs_two_calls(
    looks: Looks,
) -> None:
    page = await looks.runtime.dead_letters("echo", limit=DEAD)

    assert [one.reason for one in page.items] == ["died"] * DEAD
    assert looks.calls == 2


def menu_of(looks: Looks) -> ConversationMenu:
    """The menu of a panel that shows the first conversation and does nothing itself."""
    client = InProcessActorClient(looks.runtime)
    shown = ActorId("echo", "c0000")
    panel = ChatPanel(client, looks.runtime, shown, comm=FakeComm())
    panel.close()
    return panel._menu


async def test_a_look_for_branches_among_1000_conversations_costs_two_calls(
    looks: Looks,
) -> None:
    [branch] = await menu_of(looks).branches()

    options = [one["instance_id"] for one in branch["options"]]
    assert options == ["c0000", f"c{MANY - 1:04}"]
    assert looks.calls == 2


async def test_a_page_of_the_menu_costs_three_calls(looks: Looks) -> None:
    page, after = await menu_of(looks)._page_of_conversations(None)

    assert (len(page), after) == (100, "echo/c0099")
    assert looks.calls == 3


async def test_a_page_is_never_longer_than_one_call_can_read(looks: Looks) -> None:
    page = await looks.runtime.list_conversations(limit=10 * MANY)

    assert len(page.items) == MANY
    assert looks.calls == 2
