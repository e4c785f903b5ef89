"""The benchmarks run and give figures; how good these are is no test's matter."""

import contextlib
import json
import math
import os
from pathlib import Path

import psutil
import pytest

from benchmarks.__main__ import NAMES, load, main
from benchmarks.measure import Bar, Benchmark, Results, is_met, measure
from benchmarks.report import as_json, table
from tools.chromium import NO_CHROMIUM, find_chromium

SMALLEST = 0.002
SERVERS = ("cosmos", "postgres", "redis")
BROWSERS = ("panel", "transcript")
IN_A_BROWSER = (pytest.mark.browser, pytest.mark.long)  # a minute each


@pytest.mark.process
@pytest.mark.timeout(180)  # some start servers
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=IN_A_BROWSER) if name in BROWSERS else name
        for name in NAMES
    ],
)
def test_every_contender_of_every_benchmark_gives_figures(
    name: str, request: pytest.FixtureRequest
) -> None:
    if name in SERVERS:
        request.getfixturevalue(f"{name}_server")  # skips where there is none
    if name in BROWSERS and find_chromium() is None and os.environ.get("CI") != "true":
        pytest.skip(NO_CHROMIUM)
    benchmark = load(name)

    results = measure(benchmark, rounds=1, scale=SMALLEST)

    assert results.failures == {}
    for contender in benchmark.contenders:
        (figures,) = results.rounds[contender]
        assert figures
        assert all(math.isfinite(value) and value >= 0 for value in figures.values())
    assert all(results.compared(bar) for bar in benchmark.bars)


@pytest.mark.process
def test_the_command_prints_tables_and_writes_a_file_on_request(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "figures.json"

    code = main(["streams", "--rounds", "2", "--scale", "0.002", "--json", str(file)])

    assert code == 0
    printed = capsys.readouterr().out
    written = json.loads(file.read_text(encoding="utf-8"))
    assert "## Updates of one turn" in printed
    assert len(written["benchmarks"]["streams"]["rounds"]["ours"]) == 2


@pytest.mark.process
@pytest.mark.parametrize("names", [("works", "raises"), ("raises", "works")])
def test_a_contender_without_figures_keeps_nobody_else_from_being_measured(
    names: tuple[str, ...],
) -> None:
    benchmark = Benchmark(
        name="x",
        title="X",
        contenders={name: f"tests.odd_contenders:{name}" for name in names},
        bars=(
            Bar(text="alone", contender="works", figure="us", limit=2),
            Bar(text="beside", contender="works", figure="us", over="raises", limit=2),
        ),
    )

    results = measure(benchmark, rounds=2)

    printed = table(benchmark, results)
    assert results.rounds == {"works": [{"us": 1.0}] * 2, "raises": []}
    assert "\nraises failed: RuntimeError: no luck\n" in printed
    assert "\nmet     alone: 1 " in printed
    assert "\nFAILED  beside: no figures of raises" in printed
    assert [bar["met"] for bar in as_json(benchmark, results)["bars"]] == [True, False]


@pytest.mark.process
def test_what_a_contender_has_started_ends_when_its_time_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = tmp_path / "child"
    monkeypatch.setenv("CHILD", str(note))
    contenders = {"hangs": "tests.odd_contenders:hangs_with_a_child"}
    benchmark = Benchmark(name="x", title="X", contenders=contenders)

    results = measure(benchmark, rounds=1, patience=4)

    assert results.failures == {"hangs": "timed out after 4 s"}
    with contextlib.suppress(psutil.NoSuchProcess):
        assert psutil.Process(int(note.read_text())).wait(10) is None


@pytest.mark.process
def test_the_command_names_those_that_failed_and_its_exit_code_says_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = main(["streams", "--rounds", "1", "--scale", "0.002", "--patience", "0.01"])

    printed = capsys.readouterr()
    assert code == 1
    assert "\nours timed out after 0.01 s\n" in printed.out
    assert "streams, ours timed out after 0.01 s\n" in printed.err


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    bar = Bar(text="b", contender="ours", figure="us", over="floor", limit=2.0)
    results = Results(
        {
            "floor": [{"us": 1.0}, {"us": 10.0}, {"us": 100.0}],
            "ours": [{"us": 3.0}, {"us": 20.0}, {"us": 100.0}],
        }
    )

    assert results.compared(bar) == [3.0, 2.0, 1.0]
    assert results.ratio("ours", "floor", "us") == 2.0
    assert is_met(bar, results)


@pytest.mark.parametrize(
    ("value", "at_least", "verdict"),
    [(9.0, False, "met"), (11.0, False, "MISSED"), (9.0, True, "MISSED")],
)
def test_the_table_says_whether_a_bar_was_met(
    value: float, *, at_least: bool, verdict: str
) -> None:
    bar = Bar(text="speed", contender="a", figure="us", limit=10, at_least=at_least)
    benchmark = Benchmark(name="x", title="X", contenders={"a": "m:f"}, bars=(bar,))

    printed = table(benchmark, Results({"a": [{"us": value}]}))

    assert f"\n{verdict}" in printed


@pytest.mark.process
def test_of_many_conversations_few_are_in_memory_and_each_is_listed_once() -> None:
    # Whether memory grows shows only where all caches are full: see `make bench`.
    benchmark = load("many_conversations")

    results = measure(benchmark, rounds=1, scale=0.03)

    for bar in benchmark.bars:
        if bar.figure != "resident_mb":
            assert is_met(bar, results), (bar.text, results.compared(bar))
