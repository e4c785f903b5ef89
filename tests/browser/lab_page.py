"""JupyterLab in a browser, as a person sees it: notebooks, panels, boards.

Every wait is for something that can be seen and has an end.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, expect

PATIENCE = 40_000
"""Milliseconds; the machine may be busy with other things."""

_NOTEBOOK = "window.jupyterapp?.shell?.currentWidget"

# Notes each value that something has had below an element, from now on.
_WATCH = """
(root, look) => {
  const values = [];
  const note = () => {
    const value = eval(look)(root);
    if (value && value !== values.at(-1)) values.push(value);
  };
  new MutationObserver(note).observe(root, {
    attributes: true, childList: true, subtree: true, characterData: true,
  });
  return values;
}
"""

_NEWEST_ANSWER = """
(root) => [...root.querySelectorAll("[data-testid=turn]")].at(-1)
  ?.querySelector("[data-testid=answer]")?.textContent
"""

_HAS_WORDS = """
([root, count]) => {
  const turn = [...root.querySelectorAll("[data-testid=turn]")].at(-1);
  const answers = [...(turn?.querySelectorAll("[data-testid=answer]") ?? [])];
  const text = answers.map((answer) => answer.textContent).join(" ");
  return turn?.dataset.status === "running" && text.split(/\\s+/).length >= count;
}
"""


def _watch(root: Locator, look: str) -> Callable[[], list[str]]:
    values = root.evaluate_handle(_WATCH, look)
    return values.json_value


class ChatPanel:
    """A chat panel in the output of a cell."""

    def __init__(self, root: Locator) -> None:
        self.root = root
        self.turns = root.get_by_test_id("turn")
        self.last = self.turns.last
        self.status = root.get_by_test_id("status-text")
        self.composer = root.get_by_test_id("composer")

    def say(self, text: str) -> None:
        """Type a message and press Enter."""
        self.composer.fill(text)
        self.composer.press("Enter")

    def ask(self, text: str) -> None:
        """Say something and wait for the end of the turn, however it ends."""
        count = self.turns.count()
        self.say(text)
        expect(self.turns).to_have_count(count + 1)
        expect(self.last).to_have_attribute("aria-busy", "false")

    def watch_answers(self) -> Callable[[], list[str]]:
        """From here on note what the newest answer looks like, at every change."""
        return _watch(self.root, _NEWEST_ANSWER)

    def expect_turns(self, *statuses: str) -> None:
        """Wait until these are the turns, in order."""
        expect(self.turns).to_have_count(len(statuses))
        for index, status in enumerate(statuses):
            turn = self.turns.nth(index)
            expect(turn).to_have_attribute("data-status", status)

    def expect_words(self, count: int) -> None:
        """Wait until a turn is running and has said at least so many words."""
        self.root.page.wait_for_function(
            _HAS_WORDS, arg=[self.root.element_handle(), count]
        )

    def answer(self, index: int) -> Locator:
        """The text of a turn's answer."""
        return self.turns.nth(index).get_by_test_id("answer")

    def questions(self) -> list[str]:
        """What the person has said, oldest first.

        Not the inner text: a browser lays out only what is near the window.
        """
        return self.root.locator(".arn-bubble").all_text_contents()

    def answers(self) -> list[str]:
        """The text of each turn's last answer, oldest first."""
        return [
            self.answer(index).last.text_content() or ""
            for index in range(self.turns.count())
        ]


class Board:
    """The dashboard in the output of a cell."""

    def __init__(self, root: Locator) -> None:
        self.root = root

    def row(self, actor: str) -> Locator:
        """The row of an actor, `type/conversation`."""
        return self.root.locator(f"[data-testid=actor][data-actor='{actor}']")

    def watch_activity(self, actor: str) -> Callable[[], list[str]]:
        """From here on note what an actor does, at every change."""
        row = f"[data-actor='{actor}']"
        look = f'(root) => root.querySelector("{row}")?.dataset.activity'
        return _watch(self.root, look)

    def cell(self, actor: str, name: str) -> Locator:
        """What stands in a column of an actor's row."""
        return self.row(actor).get_by_test_id(name)


class LabPage:
    """One notebook, open in JupyterLab."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self._address = address

    def open(self) -> None:
        """Load it, with a kernel."""
        self.page.goto(self._address)
        self._settle()

    def open_beside(self, notebook: str) -> None:
        """Open a notebook, by its path on the server, in a page that is loaded."""
        self.command("docmanager:open", path=notebook, factory="Notebook")
        self._settle()

    def close_notebooks(self) -> None:
        """Close all notebooks as they are, and forget what the page has stored."""
        self.page.evaluate(
            """() => {
              const widgets = [...window.jupyterapp.shell.widgets("main")];
              for (const widget of widgets) widget.dispose();
              sessionStorage.clear();
            }"""
        )

    def reload(self) -> None:
        """Press the browser's Reload."""
        self.page.reload()
        self._settle()

    def _settle(self) -> None:
        self.page.wait_for_function(f"() => {_NOTEBOOK}?.context?.sessionContext")
        self.page.evaluate(
            f"""async () => {{
              const {{ context }} = {_NOTEBOOK};
              await context.ready;
              await context.sessionContext.ready;
            }}"""
        )
        self.wait_for_kernel()

    def wait_for_kernel(self) -> None:
        """Wait until the kernel is idle."""
        self.page.wait_for_function(
            f"""() => {{
              const {{ session }} = {_NOTEBOOK}.context.sessionContext;
              const kernel = session?.kernel;
              return kernel?.status === "idle" && kernel.connectionStatus === "connected";
            }}"""
        )

    def command(self, name: str, **arguments: Any) -> None:
        """Run one of JupyterLab's commands and wait for its end."""
        self.page.evaluate(
            "([name, args]) => window.jupyterapp.commands.execute(name, args).then(() => 0)",
            [name, arguments],
        )

    def sources(self) -> list[str]:
        """The sources of the cells; empty ones for those that hold text."""
        return self.page.evaluate(
            f"() => {_NOTEBOOK}.content.widgets"
            ".map((cell) => cell.model.type === 'code' ? cell.model.sharedModel.source : '')"
        )

    def run(self, *words: str) -> None:
        """Run the cells that contain these words, each to its end; else all cells."""
        sources = self.sources()
        for word in words or ("",):
            for index, source in enumerate(sources):
                if source and word in source:
                    self.run_cell(index)

    def run_cell(self, index: int) -> None:
        """Run a cell to its end; one that fails fails the test."""
        self.select_cell(index)
        self.command("notebook:run-cell")
        outputs = self.outputs(index)
        errors = [output for output in outputs if output["output_type"] == "error"]
        assert not errors, f"cell {index}: {errors[0]['ename']}: {errors[0]['evalue']}"

    def select_cell(self, index: int) -> None:
        """Make a cell the active one."""
        self.page.evaluate(
            f"""(index) => {{
              const {{ content }} = {_NOTEBOOK};
              content.deselectAll();
              content.activeCellIndex = index;
            }}""",
            index,
        )

    def outputs(self, index: int) -> list[dict[str, Any]]:
        """A cell's outputs as they stand in the notebook."""
        return self.page.evaluate(
            f"(index) => {_NOTEBOOK}.content.widgets[index].model.outputs.toJSON()",
            index,
        )

    def execute(self, code: str) -> str:
        """Run code in the kernel beside the notebook; what it prints.

        An exception in it fails the test.
        """
        text, error = self.page.evaluate(
            f"""async (code) => {{
              const {{ kernel }} = {_NOTEBOOK}.context.sessionContext.session;
              const future = kernel.requestExecute({{ code, store_history: false }});
              let text = "";
              let error = "";
              future.onIOPub = ({{ header, content }}) => {{
                if (header.msg_type === "stream") text += content.text;
                if (header.msg_type === "error") error = content.evalue;
              }};
              await future.done;
              return [text, error];
            }}""",
            code,
        )
        assert not error, f"{code}: {error}"
        return text

    def collapse_side_bar(self) -> None:
        """Give the notebook the whole width."""
        self.command("application:toggle-left-area")

    def use_theme(self, name: str) -> None:
        """Choose a theme of JupyterLab and wait until it is there."""
        is_light = str("Light" in name).lower()
        self.command("apputils:change-theme", theme=name)
        body = self.page.locator("body")
        expect(body).to_have_attribute("data-jp-theme-light", is_light)
        expect(self.page.locator("#jupyterlab-splash")).to_have_count(0)

    def save(self) -> None:
        """Save the notebook."""
        self.command("docmanager:save")

    def restart_kernel(self) -> None:
        """Choose Restart in the menu, and confirm it."""
        self.page.evaluate(
            "() => { window.jupyterapp.commands.execute('notebook:restart-kernel') }"
        )
        self.page.locator(".jp-Dialog .jp-mod-accept").click()
        self.page.wait_for_selector(".jp-Dialog", state="detached")
        self.wait_for_kernel()

    def kill_kernel(self) -> None:
        """Kill the kernel from within, and wait until JupyterLab has a new one."""
        self.page.evaluate(
            f"""() => {{
              const {{ kernel }} = {_NOTEBOOK}.context.sessionContext.session;
              window.died = new Promise((resolve) => {{
                kernel.statusChanged.connect((_, status) => {{
                  if (status === "autorestarting") resolve();
                }});
              }});
              const code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)";
              kernel.requestExecute({{ code, silent: true }}).done.catch(() => {{}});
            }}"""
        )
        self.page.evaluate("() => window.died")
        self.page.locator(".jp-Dialog .jp-mod-accept").click()
        self.wait_for_kernel()

    def panel(self, index: int = 0) -> ChatPanel:
        """The nth chat panel of the notebook."""
        return ChatPanel(self.page.get_by_test_id("chat-panel").nth(index))

    def board(self) -> Board:
        """The dashboard of the notebook."""
        return Board(self.page.get_by_test_id("actor-dashboard"))


def write_notebook(path: Path, *cells: str) -> None:
    """Write a notebook of code cells."""
    notebook: dict[str, Any] = {
        "cells": [
            {
                "cell_type": "code",
                "execution_count": None,
                "id": f"cell-{number}",
                "metadata": {},
                "outputs": [],
                "source": source,
            }
            for number, source in enumerate(cells)
        ],
        "metadata": {
            "kernelspec": {
                "display_name": "Python 3",
                "language": "python",
                "name": "python3",
            }
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path.write_text(json.dumps(notebook))
