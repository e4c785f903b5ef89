"""How everything here is measured.

A benchmark has contenders. Every run of a contender happens in a process of its own;
the contenders take turns in every round, and a ratio is the median of the rounds'
ratios, so that a quiet or a busy moment of the machine favours nobody.
"""

import contextlib
import importlib
import json
import math
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import psutil

ROOT = Path(__file__).resolve().parent.parent

Figures: TypeAlias = dict[str, float]
"""What one run of a contender gives: figures by name, the unit is the name's end."""

Contender: TypeAlias = str
"""`module:function`. The function does the work and gives the figures; its argument
scales the amount, 1 is the usual one. Only the process that runs it imports it."""

PATIENCE = 300.0
"""How many seconds one run of a contender may take."""


class ContenderFailed(Exception):
    """A run of a contender gave no figures; the first line says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """What a figure must be, in words and as a number.

    Attributes:
        text: the promise.
        contender: whose figure.
        figure: which one.
        over: the contender that the figure is divided by, round by round; None: the
            figure itself counts.
        minus: as `over`, but taken away.
        limit: the number.
        at_least: whether more is better.
    """

    text: str
    contender: str
    figure: str
    limit: float
    over: str | None = None
    minus: str | None = None
    at_least: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """One set of contenders that do the same work; the first is the reference.

    `most_rounds`: a slow one is not measured more often, whatever is asked for.
    """

    name: str
    title: str
    contenders: Mapping[str, Contender]
    bars: tuple[Bar, ...] = ()
    most_rounds: int = 1000


@dataclass(slots=True)
class Results:
    """The figures of all rounds, by contender.

    A contender that failed in any round has a reason in `failures` and no figures: it
    was not run again, and the others' rounds cannot be compared with its own.
    """

    rounds: dict[str, list[Figures]] = field(default_factory=dict[str, list[Figures]])
    failures: dict[str, str] = field(default_factory=dict[str, str])

    def values(self, contender: str, figure: str) -> list[float]:
        """A figure in every round."""
        return [figures[figure] for figures in self.rounds[contender]]

    def median(self, contender: str, figure: str) -> float:
        """The median of a figure."""
        return statistics.median(self.values(contender, figure))

    def failed(self, bar: Bar) -> list[str]:
        """The contenders that a bar is about and that failed."""
        about = (bar.contender, bar.over, bar.minus)
        return [name for name in self.failures if name in about]

    def compared(self, bar: Bar) -> list[float]:
        """What a bar is about, in every round; of `failed` contenders nothing."""
        if self.failed(bar):
            return []
        values = self.values(bar.contender, bar.figure)
        if bar.over is not None:
            return _pairwise(values, self.values(bar.over, bar.figure), _ratio)
        if bar.minus is not None:
            return _pairwise(values, self.values(bar.minus, bar.figure), _difference)
        return values

    def ratio(self, contender: str, other: str, figure: str) -> float:
        """The median of the rounds' ratios."""
        values = self.values(contender, figure)
        return statistics.median(_pairwise(values, self.values(other, figure), _ratio))


def _pairwise(
    values: Sequence[float],
    others: Sequence[float],
    compare: Callable[[float, float], float],
) -> list[float]:
    return [compare(one, other) for one, other in zip(values, others, strict=True)]


def _ratio(one: float, other: float) -> float:
    return one / other if other else float("inf")


def _difference(one: float, other: float) -> float:
    return one - other


def is_met(bar: Bar, results: Results) -> bool:
    """Whether the median is on the right side of the limit; without figures never."""
    values = results.compared(bar)
    value = statistics.median(values) if values else math.nan
    return value >= bar.limit if bar.at_least else value <= bar.limit


def measure(
    benchmark: Benchmark,
    *,
    rounds: int,
    scale: float = 1.0,
    patience: float = PATIENCE,
) -> Results:
    """Run every contender once per round; each round begins with another one.

    A contender that fails, or takes longer than `patience` seconds, keeps nobody from
    being measured: see `Results`.
    """
    names = list(benchmark.contenders)
    results = Results({name: [] for name in names})
    for number in range(min(rounds, benchmark.most_rounds)):
        start = number % len(names)
        for name in names[start:] + names[:start]:
            if name in results.failures:
                continue
            try:
                figures = _run_apart(benchmark.contenders[name], scale, patience)
            except ContenderFailed as failure:
                results.failures[name] = str(failure)
                results.rounds[name] = []
            else:
                results.rounds[name].append(figures)
    return results


def _run_apart(contender: Contender, scale: float, patience: float) -> Figures:
    command = [sys.executable, "-m", "benchmarks", "--run", contender]
    with subprocess.Popen(
        [*command, "--scale", str(scale)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            output, errors = process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            raise ContenderFailed(f"timed out after {patience:g} s") from None
        finally:
            _end(process)
    if process.returncode:
        reason = errors.strip()[-4000:]
        raise ContenderFailed(f"failed: {reason.rpartition(chr(10))[2]}\n{reason}")
    return json.loads(output.splitlines()[-1])


def _end(process: "subprocess.Popen[str]") -> None:
    """Kill it, if it runs still, with the servers and browsers that it has started."""
    with contextlib.suppress(psutil.NoSuchProcess):
        run = psutil.Process(process.pid)
        for one in [*run.children(recursive=True), run]:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()


def run_here(contender: Contender, scale: float) -> Figures:
    """Run a contender once, in this process."""
    module, _, function = contender.partition(":")
    return getattr(importlib.import_module(module), function)(scale)


def amount(usual: int, scale: float) -> int:
    """A count of things to do, at least two."""
    return max(2, round(usual * scale))


@contextlib.contextmanager
def database_path() -> Generator[Path]:
    """A place for a database that nobody else uses."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        yield Path(folder, "state.db")
