"""A conversation as the panel shows it, from the waists' values alone."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    Cursor,
    RequestStatus,
    TurnUpdate,
    TurnView,
)
from agent_runtime_nb.runtime_directory import (
    ActorView,
)
from agent_runtime_nb.widgets.channel import Change
from agent_runtime_nb.widgets.chat_panel.transcript import Transcript

_BEGIN = datetime(2026, 11, 22, 12, tzinfo=UTC)


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def turn_view(position: int, **more: Any) -> TurnView:
    message = {"role": "user", "content": f"question {position}"}
    base: dict[str, Any] = {
        "message_id": f"m{position}",
        "position": position,
        "status": RequestStatus.PENDING,
        "attempts": 1,
        "method": "run",
        "params": {"messages": [message]},
        "metadata": {},
        "data": None,
        "entries": [],
        "checkpoint": None,
        "accepted_at": _BEGIN,
        "ended_at": None,
    }
    return TurnView(**{**base, **more})


def actor_view(*turns: TurnView, **more: Any) -> ActorView:
    base: dict[str, Any] = {
        "actor_id": ActorId("echo", "c"),
        "turns": turns,
        "running": None,
        "waiting": (),
        "cursor": Cursor(0, 0),
        "more": False,
    }
    return ActorView(**{**base, **more})


class Told:
    """A transcript and the changes that it told."""

    def __init__(self, view: ActorView | None = None, keep: int = 50) -> None:
        self.transcript = Transcript(keep)
        self.transcript.load(view or actor_view())
        self.changes: list[Change] = []

    def apply(self, kind: Any, data: Any = None, *, position: int = 1) -> None:
        cursor = Cursor(position, 0)
        update = TurnUpdate(cursor, kind, f"m{position}", data)
        self.transcript.apply(update, self.changes.append)

    def accept(self, position: int = 1) -> None:
        params = turn_view(position).params
        self.apply("accepted", {"method": "run", "params": params}, position=position)

    def progress(self, *contents: Any, message_id: str | None = "a") -> None:
        self.apply("progress", {"contents": list(contents), "message_id": message_id})

    @property
    def turns(self) -> list[dict[str, Any]]:
        return self.transcript.to_json()["turns"]

    @property
    def items(self) -> list[dict[str, Any]]:
        return self.turns[0]["items"]


def test_an_interrupted_turn_shows_its_question_and_its_partial_text() -> None:
    partial = {"role": "assistant", "contents": [text("half an ans")]}
    view = turn_view(
        1,
        status=RequestStatus.INTERRUPTED,
        checkpoint={"messages": [partial]},
        ended_at=_BEGIN + timedelta(seconds=3),
    )

    told = Told(actor_view(view))

    [turn] = told.turns
    assert turn["status"] == "interrupted"
    assert turn["duration"] == 3.0
    assert [item["text"] for item in turn["items"]] == ["question 1", "half an ans"]


def test_the_time_in_the_queue_is_no_part_of_a_turns_duration() -> None:
    done = RequestStatus.COMPLETED
    view = actor_view(
        turn_view(1, status=done, ended_at=_BEGIN + timedelta(seconds=10)),
        turn_view(2, status=done, ended_at=_BEGIN + timedelta(seconds=12)),
        turn_view(
            3,
            status=RequestStatus.CANCELLED,
            ended_at=_BEGIN + timedelta(seconds=1),
        ),
        running=turn_view(4),
    )

    turns = Told(view).turns

    assert [turn.get("duration") for turn in turns] == [10.0, 2.0, 0.0, None]
    assert turns[3]["started_at"] == (_BEGIN + timedelta(seconds=12)).timestamp()


@pytest.mark.parametrize(("attempts", "began"), [(0, False), (1, None)])
def test_an_interrupted_turn_that_never_ran_is_told_apart(
    attempts: int, began: object
) -> None:
    view = turn_view(1, status=RequestStatus.INTERRUPTED, attempts=attempts)

    [turn] = Told(actor_view(view)).turns

    assert turn.get("began") is began


def test_a_request_that_was_still_waiting_when_interrupted_never_ran() -> None:
    told = Told()
    told.accept()

    told.apply("ended", {"status": "interrupted", "data": None})

    assert told.turns[0]["began"] is False


def test_a_request_that_was_withdrawn_never_ran_also_if_the_panel_stopped_it() -> None:
    told = Told()
    told.accept()
    [waiting] = filter(None, [told.transcript.turn("m1")])
    told.transcript.set(waiting, told.changes.append, status="stopping")

    told.apply("ended", {"status": "cancelled", "data": None})

    assert told.turns[0]["began"] is False


def test_a_turn_says_which_one_it_repeats() -> None:
    again = turn_view(2, metadata={"retry_of": "m1"})
    ended = turn_view(3, status=RequestStatus.FAILED, metadata={"retry_of": "m2"})

    turns = Told(actor_view(turn_view(1), ended, waiting=(again,))).turns

    assert [turn.get("retry_of") for turn in turns] == [None, "m2", "m1"]


_CUT = {"level": "warning", "text": "the answer was cut"}


def test_the_notices_of_a_restored_turn_are_shown() -> None:
    answer = {"role": "assistant", "contents": [text("Hello")]}
    view = turn_view(
        1,
        status=RequestStatus.COMPLETED,
        entries=[answer],
        data={"messages": [answer], "notices": [_CUT]},
    )

    told = Told(actor_view(view))

    assert told.items[-1] == {"kind": "notice", **_CUT}


@pytest.mark.parametrize("said", ["Hello", "Hel"])
@pytest.mark.parametrize("streamed", [True, False])
def test_a_notice_is_shown_once_however_often_it_came(
    said: str,
    streamed: bool,  # noqa: FBT001 - a case of the table
) -> None:
    told = Told()
    told.accept()
    told.progress(text(said))
    if streamed:
        told.apply("progress", {"type": "notice", **_CUT})
    answer = {"role": "assistant", "contents": [text("Hello")]}
    data = {"messages": [answer], "notices": [_CUT]}

    told.apply("ended", {"status": "completed", "data": data})

    assert [item["kind"] for item in told.items] == ["user", "text", "notice"]
    assert told.items[-1]["text"] == _CUT["text"]


def test_what_runs_and_what_waits_stands_behind_what_has_ended() -> None:
    view = actor_view(
        turn_view(1, status=RequestStatus.COMPLETED),
        running=turn_view(2),
        waiting=(turn_view(3),),
        cursor=Cursor(2, -1),
    )

    told = Told(view)

    assert [turn["status"] for turn in told.turns] == [
        "completed",
        "running",
        "waiting",
    ]


def test_updates_that_repeat_around_the_start_change_nothing() -> None:
    ended = turn_view(1, status=RequestStatus.COMPLETED, ended_at=_BEGIN)
    told = Told(actor_view(ended))
    before = told.turns

    told.accept()
    told.apply("started")
    told.apply("ended", {"status": "completed", "data": {"messages": []}})

    assert told.turns == before
    assert told.changes == []


def test_text_of_one_message_is_one_item_and_of_the_next_another() -> None:
    told = Told()
    told.accept()

    told.progress(text("Let me "), text("look."))
    told.progress(text(" Yes."))
    told.progress(text("Done."), message_id="b")

    assert [item["text"] for item in told.items[1:]] == ["Let me look. Yes.", "Done."]


def test_arguments_that_arrive_in_fragments_are_joined() -> None:
    told = Told()
    told.accept()
    call = {"type": "function_call", "call_id": "c1"}

    told.progress({**call, "name": "search", "arguments": '{"city": '})
    told.progress({**call, "name": "", "arguments": '"Oslo"}'})
    told.progress({"type": "function_result", "call_id": "c1", "result": "3 found"})

    [_, tool] = told.items
    assert tool["name"] == "search"
    assert tool["arguments"] == '{"city": "Oslo"}'
    assert tool["result"] == "3 found"


def test_usage_is_the_last_one_said() -> None:
    told = Told()
    told.accept()

    for total in (15, 38):
        details = {"total_token_count": total}
        told.progress({"type": "usage", "usage_details": details})

    assert told.turns[0]["usage"] == {"total_token_count": 38}


def test_a_turn_that_ends_as_it_streamed_sends_only_its_status() -> None:
    told = Told()
    told.accept()
    told.progress(text("Hello"))
    told.changes.clear()
    answer = {"role": "assistant", "contents": [text("Hello")], "content": "Hello"}

    told.apply("ended", {"status": "completed", "data": {"messages": [answer]}})

    [change] = told.changes
    assert change["op"] == "patch"
    assert change["set"]["status"] == "completed"


def test_progress_that_was_missed_is_there_when_the_turn_ends() -> None:
    told = Told()
    told.accept()
    told.progress(text("Hel"))
    told.apply("lost")
    answer = {"role": "assistant", "contents": [text("Hello you")]}

    told.apply("ended", {"status": "completed", "data": {"messages": [answer]}})

    assert [item["text"] for item in told.items] == ["question 1", "Hello you"]


def test_a_failure_without_messages_keeps_what_streamed() -> None:
    told = Told()
    told.accept()
    told.progress(text("Hel"))
    error = {"type": "Oops", "message": "it broke", "retryable": False}

    told.apply("ended", {"status": "failed", "data": {"error": error}})

    assert told.turns[0]["error"] == error
    assert [item["text"] for item in told.items] == ["question 1", "Hel"]


def test_an_actor_that_is_no_agent_shows_its_call_and_its_values() -> None:
    told = Told()

    told.apply("accepted", {"method": "add", "params": {"a": 1}})
    told.apply("progress", 50)
    told.apply("ended", {"status": "completed", "data": {"sum": 3}})

    assert [(item["kind"], item["text"]) for item in told.items] == [
        ("user", 'add({"a": 1})'),
        ("value", "50"),
        ("value", '{\n  "sum": 3\n}'),
    ]


def test_an_approval_takes_the_place_of_its_call_and_is_marked_when_answered() -> None:
    call = {
        "type": "function_call",
        "call_id": "c1",
        "name": "delete_file",
        "arguments": "{}",
    }
    request = {"type": "function_approval_request", "id": "r1", "function_call": call}
    response = {"type": "function_approval_response", "id": "r1", "approved": False}
    told = Told()
    told.accept()
    told.progress(call)
    told.progress(request)
    entry = {"role": "assistant", "contents": [call, request]}
    told.apply("ended", {"status": "completed", "data": {"messages": [entry]}})

    params = {"messages": [{"role": "user", "contents": [response]}]}
    told.apply("accepted", {"method": "run", "params": params}, position=2)

    assert [item["kind"] for item in told.items] == ["user", "approval"]
    assert told.items[1]["answer"] == "denied"
    assert told.turns[1]["items"] == []


def test_images_are_shown_from_safe_places_only() -> None:
    told = Told()
    told.accept()
    png = {"type": "data", "media_type": "image/png"}
    svg = {"type": "uri", "media_type": "image/svg+xml"}

    told.progress({**png, "uri": "data:image/png;base64,AA=="})
    told.progress({**png, "uri": "javascript:alert(1)"})
    told.progress({**svg, "uri": "https://example.org/x.svg"})

    uris = [item["uri"] for item in told.items if item["kind"] == "media"]
    assert uris == ["data:image/png;base64,AA==", None, None]


def test_only_the_newest_turns_are_kept() -> None:
    told = Told(keep=3)

    for position in range(1, 6):
        told.accept(position)
        told.apply("ended", {"status": "completed", "data": None}, position=position)

    assert [turn["position"] for turn in told.turns] == [3, 4, 5]
    assert told.transcript.to_json()["more"]


def test_a_discarded_turn_is_told_also_if_only_a_page_has_it() -> None:
    told = Told()

    told.transcript.discard("long-ago", told.changes.append)

    assert told.changes == [
        {"op": "patch", "id": "long-ago", "set": {"discarded": True}}
    ]


def test_what_is_still_to_come_is_kept_with_what_was_asked() -> None:
    told = Told(keep=3)
    for position in range(1, 6):
        told.accept(position)

    for position in (1, 2):
        told.apply("ended", {"status": "completed", "data": None}, position=position)
    told.accept(6)

    assert [turn["position"] for turn in told.turns] == [3, 4, 5, 6]
    assert [turn["items"][0]["text"] for turn in told.turns] == [
        f"question {position}" for position in (3, 4, 5, 6)
    ]
