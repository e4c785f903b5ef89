"""Retry that the runtime refuses can be pressed again."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.cells import DEMO
from tests.browser.conftest import OpenNotebook

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

PANEL = """
from agent_runtime_nb.exceptions import MailboxFull
from agent_runtime_nb.widgets.chat_panel.panel import ChatPanel


class FullDirectory:
    is_full = True

    def __getattr__(self, name):
        return getattr(rt.directory, name)

    async def run_again(self, actor_id, message_id):
        if self.is_full:
            raise MailboxFull(str(actor_id), 100, 1)
        return await rt.directory.run_again(actor_id, message_id)


directory = FullDirectory()
ChatPanel(rt.client, directory, arn.ActorId("scripted", "c"))
"""


def test_a_retry_that_was_refused_can_be_pressed_again(
    open_notebook: OpenNotebook,
) -> None:
    lab = open_notebook(DEMO, PANEL)
    lab.run()
    panel = lab.panel()
    panel.ask("fail")
    retry = panel.root.get_by_test_id("retry")

    retry.click()
    expect(panel.root.get_by_test_id("banner")).to_be_visible()
    lab.execute("directory.is_full = False")
    retry.click()

    # The new request is named after the old one.
    expect(panel.last).to_have_attribute("data-turn", re.compile("~2$"))
