"""`python -m benchmarks [name ...] [--long] [--json FILE]`.

A contender that fails or takes too long is named in its table, and the others are
measured all the same; the exit code is then 1.
"""

import argparse
import importlib
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

from benchmarks.measure import PATIENCE, Benchmark, measure, run_here
from benchmarks.report import as_json, table

NAMES = (
    *("imports", "asks", "sqlite", "conversation", "many_conversations", "redis"),
    *("postgres", "cosmos", "streams", "http", "panel", "transcript"),
)
ROUNDS, LONG_ROUNDS = 5, 15


def load(name: str) -> Benchmark:
    """A benchmark by name."""
    return importlib.import_module(f"benchmarks.{name}").BENCHMARK


def main(arguments: list[str] | None = None) -> int:
    """Measure what is asked for, or everything; return the exit code."""
    options = _parser().parse_args(arguments)
    if options.run:
        print(json.dumps(run_here(options.run, options.scale)))
        return 0
    rounds = options.rounds or (LONG_ROUNDS if options.long else ROUNDS)
    machine = f"Python {platform.python_version()}, {os.cpu_count()} processors"
    print(f"{machine}, load {_load()}; medians of {rounds} rounds\n", flush=True)
    found: dict[str, Any] = {}
    failures: list[str] = []
    for name in options.names or NAMES:
        benchmark = load(name)
        results = measure(
            benchmark, rounds=rounds, scale=options.scale, patience=options.patience
        )
        print(table(benchmark, results), end="\n\n", flush=True)
        failures += [
            f"{name}, {contender} {reason}"
            for contender, reason in results.failures.items()
        ]
        found[name] = as_json(benchmark, results)
    if options.json:
        facts = {"machine": machine, "load": _load(), "benchmarks": found}
        options.json.write_text(json.dumps(facts, indent=1), encoding="utf-8")
    print("\n\n".join(failures), file=sys.stderr)
    return 1 if failures else 0


def _load() -> str:
    # Figures taken beside other work must say so.
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], metavar="name")
    parser.add_argument("--long", action="store_true", help="more rounds")
    parser.add_argument("--rounds", type=int, help="so many rounds")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the work")
    parser.add_argument(
        "--patience",
        type=float,
        default=PATIENCE,
        metavar="SECONDS",
        help="how long one run of a contender may take",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument("--run", help=argparse.SUPPRESS)  # one contender, once
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
