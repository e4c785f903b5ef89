"""Names of conversations: given, shown, kept, taken away."""

from collections.abc import Callable

import pytest

from agent_runtime_nb.conversations.reading import list_conversations, read_conversation
from agent_runtime_nb.exceptions import (
    InvalidRequest,
    RequestNotFound,
)
from agent_runtime_nb.storage_abstractions import IActorStateStorage
from tests.conversations.host import ME, Host


async def test_a_name_is_kept_beside_the_turns_and_survives_them(
    host: Host, open_storage: Callable[[], IActorStateStorage]
):
    await host.ask("one")

    await host.runtime.rename(ME, "  My \n talk ")
    await host.ask("two")
    await host.runtime.stop()
    again = Host(open_storage())
    await again.runtime.start()

    listed = [one async for one in list_conversations(again.runtime)]
    assert [(one.actor_id, one.name) for one in listed] == [(ME, "My talk")]
    assert (await read_conversation(again.runtime, ME)).title == "My talk"
    await again.runtime.stop()


async def test_a_name_can_be_taken_away(host: Host):
    await host.ask("one")
    await host.runtime.rename(ME, "a name")

    await host.runtime.rename(ME, None)

    assert (await read_conversation(host.runtime, ME)).title == "c1"


async def test_a_name_has_nothing_that_one_cannot_see(host: Host):
    await host.ask("one")

    await host.runtime.rename(ME, "a\u202eb \x00c 👩\u200d👧")

    title = (await read_conversation(host.runtime, ME)).title
    assert title == "a b c 👩\u200d👧"


@pytest.mark.parametrize("name", ["", "   ", "\u202e", "x" * 201])
async def test_a_name_that_cannot_be_shown_is_refused(host: Host, name: str):
    await host.ask("one")

    with pytest.raises(InvalidRequest, match="name"):
        await host.runtime.rename(ME, name)


async def test_what_does_not_exist_cannot_be_named_and_does_not_come_to_be(host: Host):
    with pytest.raises(RequestNotFound, match="agent/c1 is not stored"):
        await host.runtime.rename(ME, "a name")

    assert [one async for one in list_conversations(host.runtime)] == []
