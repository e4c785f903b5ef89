"""What a person does with requests in the panel, over a real runtime."""

import base64
from typing import Any

import pytest
from agent_framework import Content
from agent_framework.exceptions import ChatClientException

from agent_runtime_nb.agents.actor import AgentActor
from agent_runtime_nb.agents.samples import scripted_agent
from agent_runtime_nb.exceptions import Unavailable
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import ActorId, RequestStatus
from agent_runtime_nb.widgets.chat_panel.panel import ChatPanel
from tests.agents.test_retry_after import RateLimited
from tests.widgets.front_end import FakeComm, FrontEnd
from tests.widgets.panels import Panels, ended, look, texts

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"0" * 8).decode()
IMAGE = f"data:image/png;base64,{PNG}"


def items(turn: Any, kind: str) -> list[Any]:
    return [item for item in turn["items"] if item["kind"] == kind]


async def ask_to_delete(page: FrontEnd, name: str, message_id: str) -> Any:
    """Let the agent ask for an approval; gives the request's id."""
    page.say("send", message_id=message_id, text=f"delete {name}")
    turn = await page.until(
        lambda picture: next(
            (
                turn
                for turn in picture["turns"]
                if turn["id"] == message_id and turn["status"] == "completed"
            ),
            None,
        )
    )
    return items(turn, "approval")[0]["id"]


# --- approvals ------------------------------------------------------------------------


async def test_a_tool_allowed_for_the_conversation_runs_without_a_question(
    panels: Panels,
) -> None:
    _, page = await panels.open()
    request = await ask_to_delete(page, "a.txt", "m1")

    page.say("answer", turn="m1", request_id=request, decision="conversation")
    await page.until(ended("completed", turn=1))
    page.say("send", message_id="m3", text="delete b.txt")
    turn = await page.until(ended("completed", turn=2))

    assert items(turn, "approval") == []
    assert "b.txt is deleted" in items(turn, "tool")[0]["result"]
    answered = items(page.picture["turns"][0], "approval")[0]
    assert answered["answer"] == "conversation"
    await page.until(lambda picture: picture["allowed_tools"] == ["delete_file"])
    _, reopened = await panels.open()
    assert items(reopened.picture["turns"][0], "approval")[0] == answered


async def test_a_tool_that_was_allowed_can_be_asked_for_again(panels: Panels) -> None:
    _, page = await panels.open()
    request = await ask_to_delete(page, "a.txt", "m1")
    page.say("answer", turn="m1", request_id=request, decision="conversation")
    await page.until(lambda picture: picture["allowed_tools"] == ["delete_file"])

    page.say("disallow", tool="delete_file")
    done = await page.heard("done")
    await page.until(lambda picture: picture["allowed_tools"] == [])
    again = await ask_to_delete(page, "b.txt", "m3")

    assert done["what"] == "disallow"
    assert again != request


async def test_a_refusal_is_shown_with_its_reason_everywhere(panels: Panels) -> None:
    _, page = await panels.open()
    request = await ask_to_delete(page, "a.txt", "m1")

    page.say(
        "answer", turn="m1", request_id=request, decision="deny", reason="my only copy"
    )
    turn = await page.until(ended("completed", turn=1))

    _, reopened = await panels.open()
    for picture in (page.picture, reopened.picture):
        [card] = items(picture["turns"][0], "approval")
        assert (card["answer"], card["reason"]) == ("denied", "my only copy")
    assert "my only copy" in items(turn, "tool")[0]["result"]


async def test_what_two_panels_decide_together_is_sent_once_all_is_decided(
    panels: Panels, runtime: InProcessActorRuntime
) -> None:
    def script(messages: Any) -> Any:
        if messages[-1].role == "tool":
            return ["Done."]
        return [
            Content.from_function_call(f"c{n}", "delete_file", arguments={"path": n})
            for n in "ab"
        ]

    agent = scripted_agent(script, delay=0)
    runtime.register_actor_type("twice", lambda _: AgentActor(agent))
    _, one = await panels.open("twice/c1")
    _, two = await panels.open("twice/c1")
    one.say("send", message_id="m1", text="delete both")
    asked = await one.until(ended("completed"))
    await two.until(ended("completed"))
    first, second = [card["id"] for card in items(asked, "approval")]

    one.say("answer", turn="m1", request_id=first, decision="once")
    await two.until(lambda picture: picture["turns"][0]["items"][1]["answer"])
    two.say("answer", turn="m1", request_id=second, decision="deny")

    for page in (one, two):
        turn = await page.until(ended("completed", turn=1))
        assert texts(turn) == "Done."
        cards = items(page.picture["turns"][0], "approval")
        assert [card["answer"] for card in cards] == ["once", "denied"]


async def test_an_answer_given_in_code_is_seen_in_the_panel(
    panels: Panels, client: InProcessActorClient, runtime: InProcessActorRuntime
) -> None:
    _, page = await panels.open()
    await ask_to_delete(page, "a.txt", "m1")
    view = await runtime.read_actor(ActorId("scripted", "c1"))
    request = view.turns[0].entries[-1]["contents"][-1]

    answer = {**request, "type": "function_approval_response", "approved": True}
    params = {"messages": [{"role": "user", "contents": [answer]}]}
    await client.send_request(ActorId("scripted", "c1"), "run", params)

    await page.until(ended("completed", turn=1))
    assert items(page.picture["turns"][0], "approval")[0]["answer"] == "once"


# --- stop -----------------------------------------------------------------------------


class DeafClient(InProcessActorClient):
    """Takes a cancel, or fails at it; the turn does not notice."""

    error: Exception | None = None
    taken = True

    async def cancel(self, actor_id: ActorId, message_id: str) -> bool:
        if self.error is not None:
            raise self.error
        return self.taken


@pytest.mark.parametrize(
    ("taken", "error", "words"),
    [
        (True, None, "does not react"),
        (False, None, "too late"),
        (True, Unavailable("disk", "it is gone"), "it is gone"),
    ],
)
async def test_a_turn_that_cannot_be_stopped_says_why_until_it_ends(
    runtime: InProcessActorRuntime,
    client: InProcessActorClient,
    taken: bool,  # noqa: FBT001 - a case of the table
    error: Exception | None,
    words: str,
) -> None:
    deaf = DeafClient(runtime)
    deaf.taken, deaf.error = taken, error
    actor_id = ActorId("gated", "c1")
    panel = ChatPanel(deaf, runtime, actor_id, comm=FakeComm(), patience=0.05)
    page = await look(panel)
    page.say("send", message_id="m1", text="go")
    await page.until(ended("running"))

    page.say("stop", message_id="m1")
    refused = await page.until(
        lambda picture: (
            picture["turns"][0]["stop"] == "refused" and dict(picture["turns"][0])
        )
    )
    await client.cancel(actor_id, "m1")
    stopped = await page.until(ended("cancelled"))
    panel.close()

    batches = [one["changes"] for one in page.messages if one["type"] == "batch"]
    told = [change.get("set", {}) for batch in batches for change in batch]
    assert [one["stop"] for one in told if "stop" in one] == ["asked", "refused", None]
    assert refused["status"] == "running"
    assert words in refused["stop_detail"]
    assert stopped["stop"] is None


@pytest.mark.parametrize("seen_waiting", [True, False])
async def test_a_turn_behind_another_that_is_stopped_was_never_begun(
    panels: Panels, runtime: InProcessActorRuntime, *, seen_waiting: bool
) -> None:
    _, page = await panels.open("gated/c1")
    page.say("send", message_id="m1", text="first")
    await page.until(ended("running"))

    page.say("send", message_id="m2", text="second")
    if seen_waiting:
        await page.until(ended("waiting", turn=1))
    page.say("stop", message_id="m2")
    await page.until(ended("cancelled", turn=1))
    page.say("stop", message_id="m1")
    await page.until(ended("cancelled", turn=0))

    turns = (await runtime.read_actor(ActorId("gated", "c1"))).turns
    assert [turn.attempts for turn in turns] == [1, 0]


async def test_what_is_stopped_in_a_conversation_is_not_stopped_in_another(
    panels: Panels, client: InProcessActorClient
) -> None:
    params = {"messages": [{"role": "user", "content": "there"}]}
    there = await client.send_request(ActorId("gated", "c2"), "run", params, "same")
    _, page = await panels.open("gated/c1")
    page.say("send", message_id="same", text="here")
    await page.until(ended("running"))

    page.say("stop", message_id="same", instance_id="c2")
    stopped = await there.get_response()

    assert stopped.status is RequestStatus.CANCELLED
    assert page.picture["turns"][0]["status"] == "running"
    page.say("stop", message_id="same")
    await page.until(ended("cancelled"))


# --- once more, or not at all ---------------------------------------------------------


async def test_two_panels_that_retry_make_one_new_turn(panels: Panels) -> None:
    _, one = await panels.open()
    _, two = await panels.open()
    one.say("send", message_id="m1", text="fail")
    await one.until(ended("failed"))
    await two.until(ended("failed"))

    one.say("retry", turn="m1")
    two.say("retry", turn="m1")
    for page in (one, two):
        await page.until(ended("failed", turn=1))

    for page in (one, two):
        assert [turn["id"] for turn in page.picture["turns"]] == ["m1", "m1~2"]
        assert page.picture["turns"][1]["retry_of"] == "m1"


async def test_a_retry_that_is_not_possible_says_why(panels: Panels) -> None:
    _, page = await panels.open("gated/c1")
    page.say("send", message_id="m1", text="go")
    await page.until(ended("running"))

    page.say("retry", turn="m1")

    refused = await page.heard("refused")
    assert (refused["message_id"], refused["what"]) == ("m1", "retry")
    assert "not ended" in refused["error"]["message"]
    page.say("stop", message_id="m1")
    await page.until(ended("cancelled"))


async def test_a_discarded_turn_is_marked_in_every_panel(panels: Panels) -> None:
    _, one = await panels.open()
    _, two = await panels.open()
    one.say("send", message_id="m1", text="fail")
    await one.until(ended("failed"))
    await two.until(ended("failed"))

    one.say("discard", turn="m1")
    done = await one.heard("done")

    for page in (one, two, (await panels.open())[1]):
        await page.until(lambda picture: picture["turns"][0]["discarded"])
    assert done["what"] == "discard"


async def test_a_turn_that_completed_cannot_be_discarded(panels: Panels) -> None:
    _, page = await panels.open("echo/c1")
    page.say("send", message_id="m1", text="Hello")
    await page.until(ended("completed"))

    page.say("discard", turn="m1")

    assert "completed" in (await page.heard("refused"))["error"]["message"]
    assert page.picture["turns"][0]["discarded"] is False


async def test_a_rate_limited_turn_says_when_to_try_again(
    panels: Panels, runtime: InProcessActorRuntime
) -> None:
    error = ChatClientException("<class 'X'> failed")
    error.__cause__ = RateLimited(retry_after="12")
    agent = scripted_agent([error], delay=0)
    runtime.register_actor_type("limited", lambda _: AgentActor(agent))
    _, page = await panels.open("limited/c1")

    page.say("send", message_id="m1", text="Hello")

    turn = await page.until(ended("failed"))
    assert turn["error"]["retry_after"] == 12.0
    assert turn["error"]["retryable"] is True


# --- images ---------------------------------------------------------------------------


async def test_an_image_is_sent_and_shown(
    panels: Panels, runtime: InProcessActorRuntime
) -> None:
    _, page = await panels.open("echo/c1")

    page.say("send", message_id="m1", text="Look", media=[IMAGE])

    turn = await page.until(ended("completed"))
    [said] = items(turn, "user")
    assert said["text"] == "Look"
    assert [one["uri"] for one in said["media"]] == [IMAGE]
    assert texts(turn) == "Echo: Look"
    view = await runtime.read_actor(ActorId("echo", "c1"))
    kinds = [part["type"] for part in view.turns[0].entries[0]["contents"]]
    assert kinds == ["text", "data"]


async def test_an_image_that_is_none_is_refused_and_nothing_is_sent(
    panels: Panels,
) -> None:
    _, page = await panels.open("echo/c1")

    page.say(
        "send", message_id="m1", text="Look", media=["data:image/svg+xml;base64,A"]
    )

    refused = await page.heard("refused")
    assert refused["message_id"] == "m1"
    assert "PNG, JPEG, GIF and WebP" in refused["error"]["message"]
    assert page.picture["turns"] == []
