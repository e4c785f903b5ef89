"""Turns of 64 conversations at once, stored in SQLite.

Ours stores each turn twice, once accepted and once ended. The floor is what SQLite can
do with the same bytes and nothing around it: one prepared upsert per turn, 64 in one
commit ("grouped") or each in its own ("single"). "storage" is the same two writes as
ours without the runtime; "one by one" sends their statements to a thread and waits for
each, "a function each" sends a transaction at a time. The last contenders are one
conversation alone at the storage, by its length, NORMAL.
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
        "one by one, NORMAL": "benchmarks.sqlite.one_by_one:singly_normal",
        "one by one, FULL": "benchmarks.sqlite.one_by_one:singly_full",
        "a function each, NORMAL": "benchmarks.sqlite.one_by_one:functions_normal",
        "a function each, FULL": "benchmarks.sqlite.one_by_one:functions_full",
        "storage, NORMAL": "benchmarks.sqlite.one_by_one:grouped_normal",
        "storage, FULL": "benchmarks.sqlite.one_by_one:grouped_full",
        "ours, NORMAL": "benchmarks.sqlite.ours:normal",
        "ours, FULL": "benchmarks.sqlite.ours:full",
        "alone, 10 messages": "benchmarks.sqlite.alone:short",
        "alone, 1,000 messages": "benchmarks.sqlite.alone:long",
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
        Bar(
            text="storage against the same statements one by one, NORMAL",
            contender="storage, NORMAL",
            figure="turns_per_s",
            over="one by one, NORMAL",
            limit=5,
            at_least=True,
        ),
        Bar(
            text="storage against the same statements one by one, FULL",
            contender="storage, FULL",
            figure="turns_per_s",
            over="one by one, FULL",
            limit=8,
            at_least=True,
        ),
        Bar(
            text="a turn's time in the storage, long conversation against short",
            contender="alone, 1,000 messages",
            figure="turn_us",
            over="alone, 10 messages",
            limit=1.5,
        ),
    ),
)
