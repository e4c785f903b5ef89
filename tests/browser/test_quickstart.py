"""The first notebook in a real JupyterLab, as a person goes through it."""

import argparse
import json
import shlex
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenNotebook

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


def test_every_cell_runs_and_shows_something(
    open_notebook: OpenNotebook, screenshots: Path
) -> None:
    lab = open_notebook()
    code_cells = [i for i, source in enumerate(lab.sources()) if source]

    for index in code_cells:
        lab.run_cell(index)

    assert all(lab.outputs(index) for index in code_cells)
    expect(lab.board().row("echo/ada")).to_have_attribute("data-activity", "idle")
    lab.page.screenshot(path=screenshots / "quickstart.png")


def test_a_message_is_answered_piece_by_piece_while_the_board_follows(
    open_notebook: OpenNotebook, screenshots: Path
) -> None:
    lab = open_notebook()
    lab.run("arn.start(arn.EchoAgent()", "rt.chat(", "rt.dashboard()")
    panel, board, actor = lab.panel(), lab.board(), "scripted/01_quickstart"
    answers, activities = panel.watch_answers(), board.watch_activity(actor)

    panel.say("help")
    panel.expect_words(5)
    lab.page.screenshot(path=screenshots / "streaming.png")
    panel.expect_turns("completed")
    expect(board.row(actor)).to_have_attribute("data-activity", "idle")

    assert "streamed" in panel.answers()[0]
    assert len(answers()) > 3
    assert answers()[0] in answers()[-1]
    assert activities()[-2:] == ["running", "idle"]
    expect(board.cell(actor, "turns")).to_have_text("1")
    expect(board.cell(actor, "last-status")).to_have_text("completed")
    assert board.cell(actor, "latency").inner_text()


def test_stop_ends_a_long_answer_and_keeps_what_was_said(
    open_notebook: OpenNotebook, screenshots: Path
) -> None:
    lab = open_notebook()
    lab.run("arn.start(arn.EchoAgent()", "rt.chat(", "rt.dashboard()")
    panel, board, actor = lab.panel(), lab.board(), "scripted/01_quickstart"

    panel.say("slow")
    panel.expect_words(20)
    panel.root.get_by_test_id("stop").click()
    panel.expect_turns("cancelled")

    expect(panel.last.get_by_test_id("mark")).to_contain_text("Stopped")
    answer = panel.answers()[0]
    assert answer.startswith("Part 1")
    assert "Part 5" not in answer
    expect(board.row(actor)).to_have_attribute("data-activity", "idle")
    expect(board.cell(actor, "last-status")).to_have_text("cancelled")
    lab.page.screenshot(path=screenshots / "stopped.png")
    panel.say("and now?")
    panel.expect_turns("cancelled", "completed")
    assert "message 2 of our conversation" in panel.answers()[1]


def test_the_curl_line_that_serve_shows_reaches_the_agents_of_the_notebook(
    open_notebook: OpenNotebook,
) -> None:
    lab = open_notebook()
    lab.run("arn.start(arn.EchoAgent()", "rt.dashboard()", "rt.serve()")
    shown = lab.page.locator(".jp-OutputArea-output pre", has_text="curl")
    token = lab.execute("print(server.token)").strip()

    answer = do_as_curl(shown.inner_text().replace("$TOKEN", token))

    assert answer["status"] == "completed"
    assert answer["messages"][-1]["content"] == "Echo: Hello"
    expect(lab.board().cell("echo/http-echo", "turns")).to_have_text("1")


def do_as_curl(line: str) -> Any:
    """What curl would get for this command; JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-s", action="store_true")
    parser.add_argument("-H", action="append", dest="headers")
    parser.add_argument("-d", dest="data")
    parser.add_argument("url")
    program, *arguments = shlex.split(line)
    assert program == "curl"
    command = parser.parse_args(arguments)
    headers = dict(header.split(": ", 1) for header in command.headers)
    request = urllib.request.Request(  # noqa: S310 - the notebook's own server
        command.url, command.data.encode(), headers
    )
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
        return json.load(response)
