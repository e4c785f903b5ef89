"""Figures as a table for people, and as values for programs."""

import statistics
from typing import Any

from benchmarks.measure import Bar, Benchmark, Figures, Results, is_met


def table(benchmark: Benchmark, results: Results) -> str:
    """A benchmark's figures, medians with the ratio to the first contender.

    Of a contender that failed it says so.
    """
    reference = next(iter(benchmark.contenders))
    figures = list(
        dict.fromkeys(
            figure for name in benchmark.contenders for figure in _first(results, name)
        )
    )
    rows = [[benchmark.name, *figures]]
    for contender in benchmark.contenders:
        cells = [_cell(results, contender, reference, figure) for figure in figures]
        rows.append([contender, *cells])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [f"## {benchmark.title}", ""]
    for row in rows:
        first, *others = (
            cell.rjust(width) if number else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join([first, *others]).rstrip())
    for contender, reason in results.failures.items():
        lines.append(f"{contender} {reason.partition(chr(10))[0]}")
    lines += ["", *(_judged(bar, results) for bar in benchmark.bars)]
    return "\n".join(lines)


def _cell(results: Results, contender: str, reference: str, figure: str) -> str:
    if figure not in _first(results, contender):
        return "-"
    text = number(results.median(contender, figure))
    if contender == reference or not _first(results, reference).get(figure):
        return text
    return f"{text} ({number(results.ratio(contender, reference, figure))}x)"


def _first(results: Results, contender: str) -> Figures:
    rounds = results.rounds[contender]
    return rounds[0] if rounds else {}


def _judged(bar: Bar, results: Results) -> str:
    if failed := results.failed(bar):
        return f"FAILED  {bar.text}: no figures of {', '.join(failed)}"
    values = results.compared(bar)
    verdict = "met   " if is_met(bar, results) else "MISSED"
    sign, unit = (">=" if bar.at_least else "<="), "x" if bar.over else ""
    return (
        f"{verdict}  {bar.text}: {number(statistics.median(values))}{unit} "
        f"[{number(min(values))} .. {number(max(values))}], "
        f"bar {sign} {number(bar.limit)}{unit}"
    )


def number(value: float) -> str:
    """Three digits are enough for a noisy machine."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def as_json(benchmark: Benchmark, results: Results) -> dict[str, Any]:
    """Every round's figures and the verdicts."""
    return {
        "title": benchmark.title,
        "rounds": results.rounds,
        "failures": results.failures,
        "bars": [
            {
                "text": bar.text,
                "values": results.compared(bar),
                "limit": bar.limit,
                "at_least": bar.at_least,
                "met": is_met(bar, results),
            }
            for bar in benchmark.bars
        ],
    }
