"""What can be hosted as an agent, and how its history is kept."""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from agent_framework import (
    Agent,
    AgentResponse,
    AgentResponseUpdate,
    BaseAgent,
    Content,
    ContextProvider,
    InMemoryHistoryProvider,
    Message,
    SupportsAgentRun,
    WorkflowBuilder,
)

from agent_runtime_nb.agents.actor import AgentActor
from agent_runtime_nb.agents.samples import (
    EchoAgent,
    ScriptedChatClient,
    get_weather,
)
from agent_runtime_nb.exceptions import InvalidAgent
from agent_runtime_nb.runtime_abstractions import (
    RequestStatus,
)
from tests.agents.fake_context import FakeStore, ask
from tests.agents.helpers import (
    OwnHistory,
    echo_script,
    scripted,
    seen,
    texts,
    weather_script,
)

# --- what can be hosted ---------------------------------------------------------------


def plain(message: str, history: list[dict[str, str]]) -> str:
    return f"{len(history)} {message}"


async def coroutine(message: str, history: list[dict[str, str]]) -> str:
    return f"{len(history)} {message}"


def generator(message: str, history: list[dict[str, str]]) -> Iterator[str]:
    yield f"{len(history)}"
    yield f" {message}"


async def async_generator(
    message: str, history: list[dict[str, str]]
) -> AsyncIterator[str]:
    yield f"{len(history)}"
    yield f" {message}"


@pytest.mark.parametrize("function", [plain, coroutine, generator, async_generator])
async def test_a_function_of_message_and_history_is_an_agent(
    function: Callable[..., Any],
) -> None:
    outcome = await ask(AgentActor(function), FakeStore(), "one", "two")

    assert outcome.text == "2 two"
    assert outcome.data["messages"][0]["author_name"] == function.__name__


def shout(message: str) -> str:
    return message.upper()


def three(a: str, b: str, c: str) -> str:
    return a + b + c


def first_of_none(message: str) -> str:
    return next(word for word in message.split() if word == "never")


async def test_a_function_that_raises_stop_iteration_fails_its_turn() -> None:
    async with asyncio.timeout(5):
        outcome = await ask(AgentActor(first_of_none), FakeStore(), "hi")

    assert outcome.status is RequestStatus.FAILED
    assert "StopIteration" in outcome.error["message"]


async def test_a_parameter_that_goes_by_name_is_left_as_it_is() -> None:
    def answer(message: str, history: str = "none", *, mark: str = "!") -> str:
        return f"{message} {history}{mark}"

    bound = functools.partial(answer, history="bound")
    outcome = await ask(AgentActor(bound), FakeStore(), "hi")

    assert outcome.text == "hi bound!"


class Careless(BaseAgent):
    """An agent that a person wrote in a hurry."""

    def __init__(self, given: Any) -> None:
        super().__init__(name="careless")
        self._given = given

    async def run(self, messages: Any = None, **options: Any) -> Any:
        return self._given


async def one(piece: Any) -> AsyncIterator[Any]:
    yield piece


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: "text", "gave a str, not an AgentResponse"),
        (lambda: None, "gave a NoneType, not an AgentResponse"),
        (lambda: one("text"), "streamed a str, not an AgentResponseUpdate"),
    ],
)
async def test_an_agent_that_gives_something_else_is_told_what(
    make: Callable[[], Any], words: str
) -> None:
    store = FakeStore()

    outcome = await ask(AgentActor(Careless(make())), store, "hi")

    assert outcome.status is RequestStatus.FAILED
    assert words in outcome.error["message"]
    assert texts(store.turns[-1].entries) == [("user", "hi")]


class Client:
    def __init__(self, key: str) -> None:
        self.key = key


def by_name(message: str, *, model: str) -> str:
    return message + model


@pytest.mark.parametrize(
    ("given", "words"),
    [(Client, "the class Client itself .* it needs key"), (by_name, "given model by")],
)
def test_what_could_not_answer_a_message_is_refused(given: Any, words: str) -> None:
    with pytest.raises(InvalidAgent, match=words):
        AgentActor(given)


async def test_a_function_of_the_message_alone_is_an_agent() -> None:
    outcome = await ask(AgentActor(shout), FakeStore(), "hi")

    assert outcome.text == "HI"


async def test_the_history_that_a_function_gets_is_what_was_said() -> None:
    histories: list[Any] = []

    def remember(message: str, history: list[dict[str, str]]) -> str:
        histories.append(history)
        return "ok"

    await ask(AgentActor(remember), FakeStore(), "one", "two")

    assert histories[1] == [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "ok"},
    ]


async def test_a_factory_is_asked_once_per_conversation() -> None:
    made: list[Agent[Any]] = []

    async def factory() -> Agent[Any]:
        made.append(scripted())
        return made[-1]

    await ask(AgentActor(factory), FakeStore(), "one", "two")
    await ask(AgentActor(factory), FakeStore(), "one")

    assert len(made) == 2


async def test_a_factory_makes_a_new_agent_after_a_turn_that_failed() -> None:
    made: list[Agent[Any]] = []

    def factory() -> Agent[Any]:
        made.append(scripted([ValueError("x")]))
        return made[-1]

    await ask(AgentActor(factory), FakeStore(), "one", "two")

    assert len(made) == 2


async def test_an_agent_class_is_a_factory() -> None:
    outcome = await ask(AgentActor(EchoAgent), FakeStore(), "Hi")

    assert outcome.text == "Echo: Hi"


def workflow_agent() -> Any:
    first, second = scripted(["draft"], name="a"), scripted(["review"], name="b")
    return (
        WorkflowBuilder(start_executor=first)
        .add_edge(first, second)
        .build()
        .as_agent(name="flow")
    )


def test_a_workflow_agent_itself_is_refused_with_the_fix() -> None:
    with pytest.raises(InvalidAgent, match="give a function without parameters"):
        AgentActor(workflow_agent())


async def test_a_factory_of_a_workflow_agent_is_hosted_and_restored() -> None:
    store = FakeStore()
    outcome = await ask(AgentActor(workflow_agent), store, "one")

    await ask(AgentActor(workflow_agent), store, "two")

    assert outcome.status is RequestStatus.COMPLETED
    assert "review" in outcome.text
    assert [role for role, _ in texts(store.entries)].count("user") == 2


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (5, "int object cannot be hosted"),
        (three, "3 required parameters"),
        (ScriptedChatClient(["x"]), "as_agent"),
    ],
)
def test_what_is_no_agent_is_refused_with_what_to_give(
    value: Any, message: str
) -> None:
    with pytest.raises(InvalidAgent, match=message):
        AgentActor(value)


async def test_a_factory_that_gives_no_agent_fails_the_turn_and_says_so() -> None:
    def answer() -> str:
        return "Hi"

    outcome = await ask(AgentActor(answer), FakeStore(), "Hi")

    assert outcome.error["type"] == "InvalidAgent"
    assert "answer() returned, str" in outcome.error["message"]


async def test_an_agent_with_a_memory_of_its_own_keeps_it_in_its_session() -> None:
    store = FakeStore()
    agent = OwnHistory()
    await ask(AgentActor(agent), store, "one", "fail")

    outcome = await ask(AgentActor(agent), store, "three")

    assert isinstance(agent, SupportsAgentRun)
    assert outcome.text == "number 2"
    assert [text for role, text in texts(store.entries) if role == "user"] == [
        "one",
        "fail",
        "three",
    ]


class NoStream(OwnHistory):
    async def run(
        self, messages: Any, *, stream: bool = False, session: Any = None
    ) -> Any:
        return AgentResponse(messages=[Message("assistant", ["all at once"])])


async def test_an_agent_that_does_not_stream_answers_at_once() -> None:
    outcome = await ask(AgentActor(NoStream()), FakeStore(), "Hi")

    assert outcome.text == "all at once"
    assert len(outcome.progress) == 1


async def test_an_agent_with_a_history_provider_of_its_own_sees_nothing_twice() -> None:
    agent = scripted()
    agent.context_providers.append(InMemoryHistoryProvider())
    store = FakeStore()
    await ask(AgentActor(agent), store, "one")

    await ask(AgentActor(agent), store, "two")

    assert [text for _, text in seen(agent)] == ["one", "You said one. Bye.", "two"]
    assert len(store.entries) == 4


class Storing(ScriptedChatClient):
    """A client whose service stores conversations unless told otherwise."""

    STORES_BY_DEFAULT = True
    options: list[dict[str, Any]]

    def _inner_get_response(self, **kwargs: Any) -> Any:
        self.options = [*getattr(self, "options", []), dict(kwargs["options"])]
        return super()._inner_get_response(**kwargs)


async def test_a_service_that_stores_by_default_is_told_not_to_and_it_is_said_once() -> (
    None
):
    client = Storing(echo_script)
    actor = AgentActor(Agent(client, name="a"))
    store = FakeStore()

    first = await ask(actor, store, "one")
    second = await ask(actor, store, "two")

    assert [options["store"] for options in client.options] == [False, False]
    assert [notice["level"] for notice in first.notices] == ["info"]
    assert second.notices == []
    assert len(client.calls[-1]) == 3


async def test_a_service_that_stores_by_choice_gets_only_what_is_new() -> None:
    client = Storing(echo_script)
    store = FakeStore()
    chosen: Any = {"store": True}
    agent = Agent(client, name="a", default_options=chosen)

    await ask(AgentActor(agent), store, "one", "two")

    assert [options["store"] for options in client.options] == [True, True]
    assert [len(call) for call in client.calls] == [1, 1]
    assert len(store.entries) == 4


class Twice(ContextProvider):
    """Asks its history provider to save once more in the middle of a run."""

    async def before_run(
        self, *, agent: Any, session: Any, context: Any, state: Any
    ) -> None:
        history = agent.context_providers[0]
        note = Message("system", ["saved early"], message_id="early")
        await history.save_messages(context.session_id, [note])


async def test_what_an_agent_saves_in_pieces_is_all_kept() -> None:
    agent = scripted()
    agent.context_providers.append(Twice("twice"))
    store = FakeStore()

    await ask(AgentActor(agent), store, "one")

    assert [text for _, text in texts(store.entries)] == [
        "saved early",
        "one",
        "You said one. Bye.",
    ]


class Chatty(OwnHistory):
    """Sends updates of its own life between those that say something."""

    async def _stream(self, count: int) -> AsyncIterator[AgentResponseUpdate]:
        yield AgentResponseUpdate(contents=[])
        yield AgentResponseUpdate(contents=[Content.from_text("")])
        yield AgentResponseUpdate(contents=[Content.from_text("Hi")])


async def test_updates_that_say_nothing_are_not_shown() -> None:
    outcome = await ask(AgentActor(Chatty()), FakeStore(), "Hi")

    assert [update["contents"][0]["text"] for update in outcome.progress] == ["Hi"]


async def test_an_agent_that_saves_after_every_model_call_is_kept_once() -> None:
    client = ScriptedChatClient(weather_script)
    store = FakeStore()
    agent = Agent(
        client,
        name="a",
        tools=[get_weather],
        require_per_service_call_history_persistence=True,
    )

    await ask(AgentActor(agent), store, "weather", "weather")

    roles = [role for role, _ in texts(store.entries)]
    assert roles == ["user", "assistant", "tool", "assistant"] * 2
    assert [str(message.role) for message in client.calls[-1]] == [*roles[:-1]]
