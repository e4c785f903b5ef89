"""Stop lands whatever a turn is doing, and what waits can be taken back."""

from math import inf

import pytest
from playwright.sync_api import expect

from tests.browser.cells import CHAT, START, WORKER, WORKER_CHAT
from tests.browser.conftest import OpenNotebook
from tests.browser.lab_page import ChatPanel

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

# Milliseconds from the click to the mark, and how often a busy machine is forgiven.
AT_ONCE = 300
TRIES = 3

_STOP = """
(root) => new Promise((resolve, reject) => {
  const last = () => [...root.querySelectorAll("[data-testid=turn]")].at(-1);
  const began = performance.now();
  const watcher = new MutationObserver(() => {
    if (last()?.dataset.status !== "cancelled") return;
    watcher.disconnect();
    resolve(performance.now() - began);
  });
  watcher.observe(root, { attributes: true, childList: true, subtree: true });
  setTimeout(() => reject(new Error("Stop did not land")), 10_000);
  root.querySelector("[data-testid=stop]").click();
})
"""


def stop(panel: ChatPanel) -> float:
    """Press Stop; milliseconds until the turn is marked as stopped."""
    return panel.root.evaluate(_STOP)


def wait_for_words(panel: ChatPanel) -> None:
    panel.expect_words(3)


def wait_for_the_start(panel: ChatPanel) -> None:
    expect(panel.last).to_have_attribute("data-status", "running")


def wait_for_the_tool(panel: ChatPanel) -> None:
    tool = panel.last.get_by_test_id("tool")
    expect(tool).to_have_attribute("data-state", "running")


MOMENTS = {
    "be silent": wait_for_the_start,
    "look around": wait_for_the_tool,
    "count": wait_for_words,
    "slow": wait_for_words,
    "Count once more, slow": wait_for_the_start,
}


def test_stop_lands_at_any_moment_of_a_turn_within_300_ms(
    open_notebook: OpenNotebook,
) -> None:
    lab = open_notebook(WORKER, WORKER_CHAT)
    lab.run()
    panel = lab.panel()
    took: dict[str, list[float]] = {message: [] for message in MOMENTS}

    for message, wait in MOMENTS.items():
        while len(took[message]) < TRIES and min(took[message], default=inf) > AT_ONCE:
            turns = panel.turns.count()
            panel.say(message)
            expect(panel.turns).to_have_count(turns + 1)
            wait(panel)
            took[message].append(stop(panel))

    assert all(min(times) <= AT_ONCE for times in took.values()), took
    panel.expect_turns(*["cancelled"] * sum(map(len, took.values())))
    panel.ask("weather in Paris")
    expect(panel.last).to_have_attribute("data-status", "completed")


def test_messages_sent_during_an_answer_wait_in_order_and_can_be_withdrawn(
    open_notebook: OpenNotebook,
) -> None:
    lab = open_notebook(START, CHAT)
    lab.run()
    panel = lab.panel()
    panel.say("count")
    panel.expect_words(3)

    panel.say("first")
    panel.say("second")
    panel.say("third")
    withdraw = panel.root.get_by_test_id("withdraw")
    expect(withdraw).to_have_count(3)
    withdraw.nth(1).click()
    expect(withdraw).to_have_count(2)
    lab.execute("gate.set()")
    panel.expect_turns("completed", "completed", "cancelled", "completed")

    expect(panel.answer(1)).to_have_text("Hello 2.")
    expect(panel.answer(2)).to_have_count(0)
    # The one that was withdrawn was never seen by the agent.
    expect(panel.answer(3)).to_have_text("Hello 3.")
    assert panel.questions() == ["count", "first", "second", "third"]
