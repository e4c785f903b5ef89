"""`python -m benchmarks [name ...] [--long] [--json FILE]`."""

import argparse
import importlib
import json
import os
import platform
from pathlib import Path
from typing import Any

from benchmarks.measure import Benchmark, measure, run_here
from benchmarks.report import as_json, table

NAMES = (
    *("imports", "asks", "sqlite", "conversation", "many_conversations", "redis"),
    *("postgres", "cosmos", "streams", "http", "panel", "transcript"),
)
ROUNDS, LONG_ROUNDS = 5, 15


def load(name: str) -> Benchmark:
    """A benchmark by name."""
    return importlib.import_module(f"benchmarks.{name}").BENCHMARK


def main(arguments: list[str] | None = None) -> None:
    """Measure what is asked for, or everything."""
    options = _parser().parse_args(arguments)
    if options.run:
        name, contender = options.run
        work = load(name).contenders[contender]
        print(json.dumps(run_here(work, options.scale)))
        return
    rounds = options.rounds or (LONG_ROUNDS if options.long else ROUNDS)
    machine = f"Python {platform.python_version()}, {os.cpu_count()} processors"
    print(f"{machine}, load {_load()}; medians of {rounds} rounds\n", flush=True)
    found: dict[str, Any] = {}
    for name in options.names or NAMES:
        benchmark = load(name)
        results = measure(benchmark, rounds=rounds, scale=options.scale)
        print(table(benchmark, results), end="\n\n", flush=True)
        found[name] = as_json(benchmark, results)
    if options.json:
        facts = {"machine": machine, "load": _load(), "benchmarks": found}
        options.json.write_text(json.dumps(facts, indent=1), encoding="utf-8")


def _load() -> str:
    # Figures taken beside other work must say so.
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], metavar="name")
    parser.add_argument("--long", action="store_true", help="more rounds")
    parser.add_argument("--rounds", type=int, help="so many rounds")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the work")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)  # one contender, once
    return parser


if __name__ == "__main__":
    main()
