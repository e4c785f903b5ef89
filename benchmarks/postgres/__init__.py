"""The two writes of a turn in PostgreSQL: grouped, and one by one.

Each contender starts a server of its own, which brings every commit to the disk before
it answers. "one by one" sends the very same statements, prepared, a transaction for
each step: over one connection, or over 32 (where the server itself brings to the disk
at once what arrives together). The last contenders are one conversation alone, by its
length.
"""

from benchmarks.measure import Bar, Benchmark

_OURS = "benchmarks.postgres.ours"
_SINGLY = "benchmarks.postgres.one_by_one"

BENCHMARK = Benchmark(
    name="postgres",
    title="64 conversations at once on PostgreSQL: turns per second",
    contenders={
        "one by one": f"{_SINGLY}:one_connection",
        "one by one, 32 connections": f"{_SINGLY}:many_connections",
        "ours": f"{_OURS}:together",
        "alone, 10 messages": f"{_OURS}:short",
        "alone, 1,000 messages": f"{_OURS}:long",
    },
    bars=(
        Bar(
            text="accept and commit against the same statements one by one",
            contender="ours",
            figure="turns_per_s",
            over="one by one",
            limit=4,
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
