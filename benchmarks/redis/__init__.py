"""The two writes of a turn in Redis: grouped, and one by one.

Each contender starts a server of its own and sends the very same scripts with the same
arguments. "one by one" waits for each before the conversation sends its next: over a
connection for each conversation (where the server itself brings what arrives together
to the disk at once), or over a single one. ALWAYS: the log is on the disk before the
answer; EVERYSEC: up to a second later. The last contenders are one conversation alone,
by its length, EVERYSEC.
"""

from benchmarks.measure import Bar, Benchmark

_OURS = "benchmarks.redis.ours"
_SINGLY = "benchmarks.redis.one_by_one"

BENCHMARK = Benchmark(
    name="redis",
    title="64 conversations at once on Redis: turns per second",
    contenders={
        "one by one, ALWAYS": f"{_SINGLY}:many_connections_always",
        "one by one, EVERYSEC": f"{_SINGLY}:many_connections_everysec",
        "one connection, ALWAYS": f"{_SINGLY}:one_connection_always",
        "ours, ALWAYS": f"{_OURS}:always",
        "ours, EVERYSEC": f"{_OURS}:everysec",
        "alone, 10 messages": f"{_OURS}:short",
        "alone, 1,000 messages": f"{_OURS}:long",
    },
    bars=(
        Bar(
            text="accept and commit against the same commands one by one, ALWAYS",
            contender="ours, ALWAYS",
            figure="turns_per_s",
            over="one by one, ALWAYS",
            limit=2.5,
            at_least=True,
        ),
        Bar(
            text="the same, EVERYSEC",
            contender="ours, EVERYSEC",
            figure="turns_per_s",
            over="one by one, EVERYSEC",
            limit=2.5,
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
