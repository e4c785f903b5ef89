"""An answer in the output of a cell is text of a stranger: nothing of it may run."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenNotebook

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

ASK = r'''
import agent_runtime_nb as arn

HOSTILE = """**bold**

<img src="data:," onerror="window.taken = 'img'">
<script>window.taken = 'script'</script>

[a]: /u "x
```
y"
<img src="data:," onerror="window.taken = 'fence'">
```

[press me](javascript:window.taken='link') ![](http://127.0.0.1:1/secret.png)

the end
"""

rt = arn.start({"hostile": lambda message: HOSTILE})
await rt.ask("hello")
'''


def test_nothing_of_an_answer_runs_in_the_page(open_notebook: OpenNotebook) -> None:
    lab = open_notebook(ASK)

    lab.run()

    answer = lab.page.locator(".jp-OutputArea-output")
    expect(answer.locator("strong")).to_have_text("bold")
    expect(answer).to_contain_text("the end")
    assert lab.page.evaluate("() => window.taken") is None
    assert answer.locator("img, script, a[href^=javascript]").count() == 0
