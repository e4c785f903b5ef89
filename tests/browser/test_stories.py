"""The story book: every state looked at.

What the states must hold (axe, keyboard, 320 pixels, forced colours) is said by the
tests in widgets/story/tests, which vitest runs in the same Chromium.
"""

import os
import re
import subprocess
import sys

import pytest
from playwright.sync_api import Browser

from tests.browser.story_book import (
    address,
    build,
    names_of,
    open_stories,
    told,
)
from tools.chromium import VARIABLE
from tools.frontend import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def test_every_state_keeps_the_rules_of_access_in_a_real_browser(chromium: str) -> None:
    command = [sys.executable, "tools/frontend.py", "npm", "run", "--silent"]

    result = subprocess.run(
        [*command, "test:browser"],
        cwd=ROOT,
        env={**os.environ, VARIABLE: chromium},
        check=False,
        capture_output=True,
        text=True,
    )

    assert result.returncode == 0, _COLOURS.sub("", result.stdout + result.stderr)


def test_the_page_tells_every_story_and_asks_nobody_for_anything(
    browser: Browser,
) -> None:
    build()
    page = browser.new_page(viewport={"width": 920, "height": 1000})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    open_stories(page, address())

    names = names_of(page)
    assert len(names) > 40
    assert all(told(page, name).count() == 1 for name in names)
    files = [url for url in asked if url.startswith(("http:", "https:", "ws:", "wss:"))]
    assert files == []
    page.close()
