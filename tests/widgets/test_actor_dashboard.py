"""The dashboard over a real runtime, driven through its comm."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorResponseHandle,
)
from agent_runtime_nb.runtime_events import (
    ActorDeleted,
    RequestAccepted,
    TurnEnded,
    TurnProgressed,
    TurnStarted,
)
from agent_runtime_nb.widgets.actor_dashboard.board import Board
from agent_runtime_nb.widgets.actor_dashboard.dashboard import ActorDashboard
from tests.widgets.front_end import FakeComm, FrontEnd, Picture, reduce_board


class Dashboards:
    """Makes dashboards with a front end each."""

    def __init__(self, runtime: InProcessActorRuntime) -> None:
        self.runtime = runtime
        self.made: list[ActorDashboard] = []

    async def open(self, **options: Any) -> tuple[ActorDashboard, FrontEnd]:
        comm = FakeComm()
        board = ActorDashboard(self.runtime, comm=comm, **options)
        self.made.append(board)
        page = FrontEnd(comm, reduce_board)
        await page.until(lambda picture: picture["head"]["phase"] == "live")
        await page.heard("snapshot")
        return board, page


@pytest.fixture
def dashboards(runtime: InProcessActorRuntime) -> Iterator[Dashboards]:
    dashboards = Dashboards(runtime)
    yield dashboards
    for board in dashboards.made:
        board.close()


async def say(
    client: InProcessActorClient, actor: str, text: str = "Hello"
) -> ActorResponseHandle:
    params = {"messages": [{"role": "user", "content": text}]}
    return await client.send_request(ActorId.parse(actor), "run", params)


def row(actor: str, **wanted: Any) -> Any:
    """Whether an actor has a row with such cells."""

    def holds(picture: Picture) -> Any:
        for one in picture["rows"]:
            if one["id"] == actor and wanted.items() <= one.items():
                return one
        return None

    return holds


async def test_actors_that_were_there_before_have_rows(
    dashboards: Dashboards, client: InProcessActorClient
) -> None:
    await (await say(client, "echo/a")).get_response()

    _, page = await dashboards.open()

    found = await page.until(row("echo/a"))
    assert found["activity"] == "idle"
    assert found["last_status"] == "completed"


async def test_a_turn_moves_the_row_of_its_actor(
    dashboards: Dashboards, client: InProcessActorClient
) -> None:
    _, page = await dashboards.open()

    await say(client, "gated/a")
    second = await say(client, "gated/a")
    running = await page.until(row("gated/a", activity="running", waiting=1))
    await page.until(row("gated/a", doing="partial"))
    await second.cancel()

    assert running["turns"] == 2
    assert running["since"] is not None
    await page.until(row("gated/a", waiting=0))


async def test_an_ended_turn_leaves_its_status_and_latency(
    dashboards: Dashboards, client: InProcessActorClient
) -> None:
    _, page = await dashboards.open()

    await (await say(client, "scripted/a", "fail")).get_response()
    await (await say(client, "scripted/a", "think")).get_response()

    found = await page.until(row("scripted/a", last_status="completed"))
    assert len(found["latencies"]) == 2
    assert found["activity"] == "idle"
    assert found["doing"] == ""


async def test_many_events_are_few_messages_of_changed_rows(
    dashboards: Dashboards, client: InProcessActorClient
) -> None:
    _, page = await dashboards.open()
    await (await say(client, "echo/quiet")).get_response()
    await page.until(row("echo/quiet", activity="idle"))
    page.messages.clear()

    for number in range(40):
        await (await say(client, "echo/a", str(number))).get_response()

    await page.until(row("echo/a", turns=40, activity="idle"))
    batches = [one for one in page.messages if one["type"] == "batch"]
    told = [
        change.get("row", {}).get("id") for one in batches for change in one["changes"]
    ]
    assert len(batches) <= 8
    assert "echo/quiet" not in told


async def test_actors_beyond_the_limit_are_counted(
    dashboards: Dashboards, client: InProcessActorClient
) -> None:
    for name in "abcde":
        await (await say(client, f"echo/{name}")).get_response()

    board, page = await dashboards.open(limit=2)

    assert [one["id"] for one in page.picture["rows"]] == ["echo/a", "echo/b"]
    assert page.picture["hidden"] == 3
    assert repr(board) == "ActorDashboard(2 actors)"


async def test_the_table_can_be_read_without_widgets(
    dashboards: Dashboards, client: InProcessActorClient
) -> None:
    await (await say(client, "echo/a")).get_response()
    board, page = await dashboards.open()
    await page.until(row("echo/a"))

    data, _ = board._repr_mimebundle_()

    assert "| echo/a | idle | 1 | 0 | completed |" in board.to_markdown()
    assert "<td>echo/a</td>" in data["text/html"]
    assert data["text/plain"] == "ActorDashboard(1 actor)"


async def test_a_closed_dashboard_has_no_tasks(dashboards: Dashboards) -> None:
    board, _ = await dashboards.open()
    tasks = [*board._owner._tasks]

    board.close()
    await asyncio.wait(tasks, timeout=5)

    assert tasks
    assert all(task.cancelled() for task in tasks)


async def test_a_stopped_runtime_is_said_on_the_board_and_asked_no_more(
    dashboards: Dashboards,
    runtime: InProcessActorRuntime,
    caplog: pytest.LogCaptureFixture,
) -> None:
    board, page = await dashboards.open()
    following = board._following
    assert following is not None

    await runtime.stop(drain=0)
    await page.until(lambda picture: picture["head"]["phase"] == "stopped")
    await asyncio.wait([following], timeout=5)

    assert following.done()
    assert caplog.records == []


_ACTOR: dict[str, Any] = {
    "type_name": "echo",
    "instance_id": "a",
    "message_id": "m1",
    "position": 1,
}


def _progress(*contents: Any) -> TurnProgressed:
    data = {"contents": list(contents)}
    return TurnProgressed(**_ACTOR, at=3.0, sequence=1, data=data)


@pytest.mark.parametrize(
    ("contents", "doing"),
    [
        (
            [{"type": "text", "text": "Hello "}, {"type": "text", "text": "you"}],
            "Hello you",
        ),
        ([{"type": "text_reasoning", "text": "secret"}], "thinking…"),
        ([{"type": "function_call", "name": "search", "call_id": "c"}], "⚙ search"),
        (
            [
                {"type": "function_call", "name": "search", "call_id": "c"},
                {"type": "text", "text": "Found"},
            ],
            "Found",
        ),
    ],
)
def test_a_row_says_what_its_actor_does(contents: list[Any], doing: str) -> None:
    board = Board()

    board.apply(
        TurnStarted(**_ACTOR, at=2.0, method="run", metadata={}, waited=0.0, waiting=0)
    )
    board.apply(_progress(*contents))

    [found] = board.to_json()
    assert found["doing"] == doing
    assert found["since"] == 2.0


def test_a_withdrawn_request_leaves_the_running_turn_on_its_row() -> None:
    board = Board()
    board.apply(
        TurnStarted(**_ACTOR, at=2.0, method="run", metadata={}, waited=0.0, waiting=0)
    )
    second: dict[str, Any] = {**_ACTOR, "message_id": "m2", "position": 2}
    board.apply(RequestAccepted(**second, at=3.0, method="run", waiting=1))

    board.apply(
        TurnEnded(**second, at=4.0, status="cancelled", duration=None, waiting=0)
    )

    [found] = board.to_json()
    assert found["activity"] == "running"
    assert found["since"] == 2.0
    assert found["latencies"] == []


def test_a_deleted_actor_is_told_as_gone() -> None:
    board = Board()
    board.apply(RequestAccepted(**_ACTOR, at=1.0, method="run", waiting=1))
    board.take_changes()

    board.apply(ActorDeleted(type_name="echo", instance_id="a", at=2.0))

    assert board.take_changes() == ([], ["echo/a"])
    assert board.to_json() == []
