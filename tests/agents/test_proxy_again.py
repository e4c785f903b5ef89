"""`AgentProxy`: the same call again finds what the first one began."""

from collections.abc import Sequence

import pytest
from agent_framework import Message

from agent_runtime_nb.agents.proxy import AgentProxy
from agent_runtime_nb.agents.samples import EchoAgent, Step, scripted_agent
from agent_runtime_nb.exceptions import MessageIdReused, TurnFailed
from tests.agents.helpers import Gate, model_of, scripted, seen
from tests.agents.proxy_helpers import (
    OpenStorage,
    SenderOnly,
    ask,
    hosting,
    open_storage,
    read,
    told,
)
from tests.fakes import background, soon

__all__ = ["open_storage"]  # a fixture


@pytest.mark.parametrize("stream", [False, True])
async def test_the_same_message_id_finds_the_answer_again(
    open_storage: OpenStorage, *, stream: bool
) -> None:
    agent = scripted()

    async with hosting(open_storage(), agent=agent) as host:
        first = await ask(host.proxy(conversation="c"), told(), stream=stream)
    async with hosting(open_storage(), agent=agent) as host:
        run = host.proxy(conversation="c").run(told(), stream=True)
        updates = await read(run)
        again = await ask(host.proxy(conversation="c"), told(), stream=stream)

    assert len(model_of(agent).calls) == 1
    assert again.messages[0].to_dict() == first.messages[0].to_dict()
    # No update is kept over a restart: the whole answer is one.
    assert [update.text for update in updates] == [first.text]


async def test_the_same_message_id_joins_the_turn_under_way() -> None:
    gate = Gate(at=1)
    agent = scripted_agent(["one two"], delay=1, sleep=gate.sleep)

    async with hosting(agent=agent) as host:
        proxy = host.proxy(conversation="c", cancel_with_caller=False)
        first = background(proxy.run(told()))
        await soon(gate.reached.wait())
        second = proxy.run(told(), stream=True)
        update = await soon(anext(aiter(second)))
        first.cancel()

    assert update.text == "one"
    assert len(model_of(agent).calls) == 1


async def test_a_message_id_with_other_words_is_refused() -> None:
    async with hosting(agent=EchoAgent()) as host:
        proxy = host.proxy(conversation="c")
        await proxy.run(told("one"))

        with pytest.raises(MessageIdReused):
            await proxy.run(told("other"))


async def test_a_turn_that_failed_is_run_again_in_its_place(
    open_storage: OpenStorage,
) -> None:
    scripts: list[list[Step]] = [
        ["begun", ValueError("1")],
        ["begun", ValueError("2")],
        ["fine"],
    ]

    def script(_: Sequence[Message]) -> list[Step]:
        return scripts.pop(0)

    agent = scripted(script)

    async with hosting(open_storage(), agent=agent) as host:
        proxy = host.proxy(conversation="c")
        for problem in ("1", "2"):
            with pytest.raises(TurnFailed, match=problem):
                await proxy.run(told())
        response = await proxy.run(told())
        again = await proxy.run(told())
        turns = await host.turns("c")

    assert (response.text, again.text) == ("fine", "fine")
    assert [turn.message_id for turn in turns] == ["m1", "m1~2", "m1~3"]
    assert seen(agent) == [("user", "Hi")]


async def test_who_can_only_send_finds_a_failed_turn_again() -> None:
    agent = scripted([ValueError("once")])

    async with hosting(agent=agent) as host:
        proxy = AgentProxy(SenderOnly(host.client), "agent", conversation="c")
        for _ in range(2):
            with pytest.raises(TurnFailed, match="once"):
                await proxy.run(told())

    assert len(model_of(agent).calls) == 1


async def test_a_message_id_that_no_request_can_have_works_as_well() -> None:
    agent = scripted()

    async with hosting(agent=agent) as host:
        proxy = host.proxy(conversation="c")
        for message_id in ("x" * 300, "a\nb"):
            for _ in range(2):
                await proxy.run(Message("user", ["Hi"], message_id=message_id))

    assert len(model_of(agent).calls) == 2


async def test_a_question_is_another_one_after_other_answers() -> None:
    agent = scripted()

    async with hosting(agent=agent) as host:
        proxy = host.proxy(conversation="c")
        for text in ("this", "that", "that"):
            await proxy.run([told(), Message("assistant", [text], message_id="a")])

    assert len(model_of(agent).calls) == 2
