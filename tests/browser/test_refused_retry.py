"""Retry that the runtime refuses can be pressed again."""

import pytest
from playwright.sync_api import expect

from tests.browser.cells import DEMO
from tests.browser.conftest import OpenNotebook

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


def test_a_retry_that_was_refused_can_be_pressed_again(
    open_notebook: OpenNotebook,
) -> None:
    lab = open_notebook(DEMO, 'panel = rt.chat("scripted")\npanel')
    lab.run()
    panel = lab.panel()
    panel.ask("fail")
    retry = panel.root.get_by_test_id("retry")
    lab.execute(
        "from agent_runtime_nb.exceptions import MailboxFull\n"
        "async def full(*_, **__): raise MailboxFull('scripted/c', 100, 1)\n"
        "send, panel._client.send_request = panel._client.send_request, full"
    )

    retry.click()
    expect(panel.root.get_by_test_id("banner")).to_be_visible()
    lab.execute("panel._client.send_request = send")
    retry.click()

    expect(panel.turns).to_have_count(2)
