"""The story book's fixtures are the kernel's own."""

import json

import pytest

from tests.browser.story_fixtures import COMMAND, FIXTURES, play_all


@pytest.mark.anyio
async def test_the_stories_show_what_the_kernel_sends_today() -> None:
    recorded = json.loads(FIXTURES.read_text(encoding="utf-8"))

    today = await play_all()

    changed = [name for name in today if today[name] != recorded.get(name)]
    assert not changed, f"run `{COMMAND} {' '.join(changed)}`"
    assert set(today) == set(recorded)
