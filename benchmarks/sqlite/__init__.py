"""Turns of 64 conversations at once, stored in SQLite.

Ours stores each turn twice, once accepted and once ended. The floor is what SQLite can
do with the same bytes and nothing around it: one prepared upsert per turn, 64 in one
commit ("grouped") or each in its own ("single").
"""

from benchmarks.measure import Bar, Benchmark

BENCHMARK = Benchmark(
    name="sqlite",
    title="64 conversations at once on SQLite: turns per second",
    contenders={
        "grouped, NORMAL": "benchmarks.sqlite.floor:grouped_normal",
        "grouped, FULL": "benchmarks.sqlite.floor:grouped_full",
        "single, NORMAL": "benchmarks.sqlite.floor:single_normal",
        "single, FULL": "benchmarks.sqlite.floor:single_full",
        "ours, NORMAL": "benchmarks.sqlite.ours:normal",
        "ours, FULL": "benchmarks.sqlite.ours:full",
    },
    bars=(
        Bar(
            text="accept and commit, NORMAL, turns per second",
            contender="ours, NORMAL",
            figure="turns_per_s",
            limit=5000,
            at_least=True,
        ),
        Bar(
            text="accept and commit, FULL, turns per second",
            contender="ours, FULL",
            figure="turns_per_s",
            limit=4000,
            at_least=True,
        ),
    ),
)
