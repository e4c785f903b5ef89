"""Watches a whole run of tests for tokens of HTTP servers where none may be.

Every token that a server makes or is given in this process is remembered, and so is
every ticket that a page gets. None may be
in a log record, in a traceback, in what a test writes to its standard output or error,
or in a notebook that is saved. A test that shows one fails; what is found after the
last test fails the run. The token itself is not told.

A plugin of pytest; `tests/conftest.py` names it.
"""

import logging
import os
import re
import traceback
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent_runtime_nb.http_api import guard
from agent_runtime_nb.side_channel import tickets

EXCEPTED = frozenset({"secret"})
"""Tokens that the README shows, in curl lines to paste."""

RANDOM_TOKEN = re.compile(r"(?<![\w+/=.-])[\w-]{43}(?![\w+/=.-])", re.ASCII)
"""What `new_token` makes, of whatever process."""

_SHORTEST = 8  # a shorter text is in many things by chance


class TokenWatch:
    """The tokens so far, and where one was seen since somebody asked."""

    def __init__(self) -> None:
        self.tokens: set[str] = set()
        self.seen: list[str] = []

    def remember(self, token: str) -> None:
        """A server has this token."""
        if token not in EXCEPTED and len(token) >= _SHORTEST:
            self.tokens.add(token)

    def look(self, text: str, where: str) -> None:
        """Note it if a token is in the text."""
        if any(token in text for token in self.tokens):
            self.seen.append(where)

    def look_at_record(self, record: logging.LogRecord) -> None:
        """Look at what any handler could make of a log record."""
        if not self.tokens or record.name.startswith("httpx"):
            return  # the tests' own clients tell their URLs, as a test wrote them
        parts = [str(record.msg), repr(record.args)]
        if record.exc_info and record.exc_info[1]:
            parts += traceback.format_exception(record.exc_info[1])
        self.look("\n".join(parts), f"a log record of {record.name}")

    def look_at_notebooks(self, folders: Iterable[Path]) -> None:
        """Look at the notebooks saved there, for tokens of other processes too."""
        for notebook in notebooks_in(folders):
            text = notebook.read_text(errors="replace")
            self.look(text, f"the notebook {notebook}")
            if RANDOM_TOKEN.search(text):
                self.seen.append(f"the notebook {notebook} (it looks like a token)")

    def taken(self) -> list[str]:
        """Where a token was seen since the last call."""
        seen, self.seen = self.seen, []
        return seen


def notebooks_in(folders: Iterable[Path]) -> Iterator[Path]:
    """The notebooks under some folders, without installed packages."""
    for folder in folders:
        for place, inner, files in os.walk(folder):
            inner[:] = [n for n in inner if n != "node_modules" and n[0] != "."]
            yield from (Path(place, one) for one in files if one.endswith(".ipynb"))


_WATCH: pytest.StashKey[TokenWatch] = pytest.StashKey()


def pytest_configure(config: pytest.Config) -> None:
    """Stand where each token passes, and where each log record is made."""
    watch = config.stash[_WATCH] = TokenWatch()
    check, make = guard._check_new_token, logging.getLogRecordFactory()
    new_ticket = tickets.new_ticket

    def check_and_remember(token: str) -> None:
        check(token)
        watch.remember(token)

    def new_and_remembered() -> str:
        ticket = new_ticket()
        watch.remember(ticket)
        return ticket

    def make_and_look(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        watch.look_at_record(record)
        return record

    def restore() -> None:
        guard._check_new_token = check
        tickets.new_ticket = new_ticket
        logging.setLogRecordFactory(make)

    guard._check_new_token = check_and_remember
    tickets.new_ticket = new_and_remembered
    logging.setLogRecordFactory(make_and_look)
    config.add_cleanup(restore)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail what shows a token."""
    report = yield
    watch = item.config.stash[_WATCH]
    watch.look(report.longreprtext, "a traceback")
    for title, text in report.sections:
        # Those of earlier phases are there, too; records were looked at when made.
        if title.endswith(report.when) and " log " not in title:
            watch.look(text, title)
    if seen := watch.taken():
        report.outcome = "failed"
        report.longrepr = _told(seen)
        report.sections = []  # they would show it once more
    return report


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Look at the notebooks that are there in the end."""
    watch = session.config.stash[_WATCH]
    temporary = getattr(session.config, "_tmp_path_factory").getbasetemp()  # noqa: B009
    watch.look_at_notebooks([session.config.rootpath, temporary])
    if watch.seen and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Tell what was found after the last test."""
    if seen := config.stash[_WATCH].taken():
        terminalreporter.write_line(_told(seen), red=True)


def _told(seen: list[str]) -> str:
    return f"the token of a server appears in: {', '.join(dict.fromkeys(seen))}"
