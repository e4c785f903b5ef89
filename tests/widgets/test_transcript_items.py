"""What a turn's items say beside their words: times, rich results, decisions."""

import base64
from typing import Any

import pytest

from agent_runtime_nb.runtime_abstractions import Cursor, RequestStatus, TurnUpdate
from agent_runtime_nb.runtime_directory import ConversationInfo
from agent_runtime_nb.widgets.channel import Change
from agent_runtime_nb.widgets.chat_panel.markdown import transcript_markdown
from agent_runtime_nb.widgets.chat_panel.transcript import Transcript
from tests.widgets.test_transcript import actor_view, text, turn_view

CALL = {"type": "function_call", "call_id": "c1", "name": "plot", "arguments": "{}"}
RESULT = {"type": "function_result", "call_id": "c1", "result": "done"}


class Timed:
    """A transcript whose clock is set by hand, with one running turn."""

    def __init__(self) -> None:
        self.now = 100.0
        self.transcript = Transcript(clock=lambda: self.now)
        self.transcript.load(actor_view())
        self.changes: list[Change] = []
        params = turn_view(1).params
        self.apply("accepted", {"method": "run", "params": params})
        self.apply("started")

    def apply(self, kind: Any, data: Any = None, *, after: float = 0.0) -> None:
        self.now += after
        update = TurnUpdate(Cursor(1, 0), kind, "m1", data)
        self.transcript.apply(update, self.changes.append)

    def progress(self, *contents: Any, after: float = 0.0) -> None:
        data = {"contents": list(contents), "message_id": "a"}
        self.apply("progress", data, after=after)

    def end(self, *contents: Any, after: float = 0.0) -> None:
        entry = {"role": "assistant", "message_id": "a", "contents": list(contents)}
        data = {"status": "completed", "data": {"messages": [entry]}}
        self.apply("ended", data, after=after)

    def one(self, kind: str) -> Any:
        [turn] = self.transcript.to_json()["turns"]
        [item] = [item for item in turn["items"] if item["kind"] == kind]
        return item


def test_a_tool_row_says_since_when_it_runs_and_how_long_it_took() -> None:
    timed = Timed()

    timed.progress(CALL, after=2)
    running = timed.one("tool")
    timed.progress(RESULT, after=3)
    timed.end(CALL, RESULT, after=1)

    assert (running["started_at"], running["duration"]) == (102.0, None)
    assert (timed.one("tool")["started_at"], timed.one("tool")["duration"]) == (
        102.0,
        3.0,
    )


def test_reasoning_says_how_long_it_took_once_something_follows() -> None:
    timed = Timed()
    thought = {"type": "text_reasoning", "text": "hm"}

    timed.progress(thought)
    timed.progress(thought, after=4)
    growing = timed.one("reasoning")
    timed.progress(text("42"), after=1)

    assert (growing["text"], growing["duration"]) == ("hmhm", None)
    assert timed.one("reasoning")["duration"] == 5.0


def test_reasoning_that_is_the_last_word_ends_with_the_turn() -> None:
    timed = Timed()
    thought = {"type": "text_reasoning", "text": "hm"}

    timed.progress(thought)
    timed.end(thought, after=2)

    assert timed.one("reasoning")["duration"] == 2.0


def test_times_survive_that_the_stored_turn_takes_the_place_of_the_streamed() -> None:
    timed = Timed()
    timed.progress(CALL, after=1)
    timed.progress(RESULT, after=1)

    timed.end(CALL, RESULT, text("and more than streamed"))

    assert timed.one("tool")["duration"] == 1.0


def test_times_survive_that_the_panel_loads_again() -> None:
    timed = Timed()
    timed.progress(CALL, after=1)
    timed.progress(RESULT, after=1)
    timed.end(CALL, RESULT)
    entry = {"role": "assistant", "contents": [CALL, RESULT]}
    stored = turn_view(1, status=RequestStatus.COMPLETED, entries=[entry])

    timed.transcript.load(actor_view(stored))

    assert timed.one("tool")["duration"] == 1.0


def test_of_what_was_read_from_the_store_no_times_are_claimed() -> None:
    thought = {"type": "text_reasoning", "text": "hm"}
    entry = {"role": "assistant", "contents": [thought, CALL, RESULT]}
    transcript = Transcript()

    transcript.load(
        actor_view(turn_view(1, status=RequestStatus.COMPLETED, entries=[entry]))
    )

    [turn] = transcript.to_json()["turns"]
    times = [(one.get("started_at"), one["duration"]) for one in turn["items"]]
    assert times == [(None, None), (None, None)]


def data_uri(media_type: str, data: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


@pytest.mark.parametrize(
    ("media_type", "uri", "shown"),
    [
        ("text/html", data_uri("text/html", b"<b>x</b>"), "<b>x</b>"),
        ("image/png", data_uri("image/png", b"1"), data_uri("image/png", b"1")),
        ("image/svg+xml", data_uri("image/svg+xml", b"<svg/>"), None),
        ("image/png", "https://example.org/x.png", None),
        ("image/png", data_uri("text/html", b"<b>"), None),
        ("text/html", "https://example.org/x.html", None),
        ("text/html", "data:text/html;base64,***", None),
        ("text/html", data_uri("text/html", b"x" * 400_000), None),
        ("application/pdf", data_uri("application/pdf", b"1"), None),
    ],
)
def test_a_tools_images_and_markup_are_beside_its_text(
    media_type: str, uri: str, shown: str | None
) -> None:
    timed = Timed()
    rich = {"type": "data", "media_type": media_type, "uri": uri}

    timed.progress(CALL, {**RESULT, "items": [text("done"), rich]})

    expected = [] if shown is None else [{"media_type": media_type, "data": shown}]
    assert timed.one("tool")["rich"] == expected
    assert timed.one("tool")["result"] == "done"


@pytest.mark.parametrize(
    ("said", "answer", "reason"),
    [
        ({"approved": True}, "once", None),
        ({"approved": True, "always_approve": "tool"}, "conversation", None),
        ({"approved": False, "reason": "no"}, "denied", "no"),
        ({"approved": False, "always_approve": "tool"}, "denied", None),
        ({"approved": "yes"}, "denied", None),
        ({"approved": True, "always_approve": "tool_with_arguments"}, "once", None),
    ],
)
def test_an_approval_says_what_was_decided_and_why(
    said: dict[str, Any], answer: str, reason: str | None
) -> None:
    request = {"type": "function_approval_request", "id": "r1", "function_call": CALL}
    extra = {key: said[key] for key in said if key != "approved"}
    response = {
        **request,
        "type": "function_approval_response",
        "approved": said["approved"],
        "additional_properties": {"tool_approval": extra},
    }
    asked = {"role": "assistant", "contents": [request]}
    answered = {"role": "user", "contents": [response]}
    done = RequestStatus.COMPLETED
    transcript = Transcript()

    transcript.load(
        actor_view(
            turn_view(1, status=done, entries=[asked]),
            turn_view(2, status=done, entries=[answered]),
        )
    )

    card = transcript.to_json()["turns"][0]["items"][-1]
    assert (card["answer"], card["reason"]) == (answer, reason)


def test_an_earlier_page_knows_which_turns_are_discarded() -> None:
    info = ConversationInfo(actor_view().actor_id, discarded=("m1",))
    failed = RequestStatus.FAILED
    transcript = Transcript()
    transcript.load(actor_view(turn_view(2, status=failed), more=True, info=info))

    page = transcript.page(actor_view(turn_view(1, status=failed)))

    assert page["turns"][0]["discarded"] is True
    assert transcript.to_json()["turns"][0]["discarded"] is False


def test_the_markdown_names_how_turns_ended() -> None:
    failed = {
        "status": "failed",
        "error": {"message": "it broke"},
        "items": [
            {"kind": "user", "text": "Hi\nthere"},
            {"kind": "reasoning", "text": "secret"},
            {
                "kind": "tool",
                "name": "search",
                "arguments": '{"a": 1}',
                "result": "found",
            },
        ],
    }

    document = transcript_markdown("t", [failed])

    assert document == (
        '**t**\n\n> Hi\n> there\n\n*Tool* `search({"a": 1})` → `found`\n\n'
        "*Failed: it broke*\n"
    )
