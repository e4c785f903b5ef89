"""Memory and listing with ten times the conversations in one SQLite file.

All conversations are stored before; then each is asked once, in random order, with at
most 1,000 actors in memory. What grows with the number of conversations is measured as
the resident memory of the process after that.
"""

from benchmarks.measure import Bar, Benchmark

_FEW, _MANY = "10,000", "100,000"

BENCHMARK = Benchmark(
    name="many_conversations",
    title="Conversations in one SQLite file, each asked once in random order",
    most_rounds=1,
    contenders={
        _FEW: "benchmarks.many_conversations.ours:few",
        _MANY: "benchmarks.many_conversations.ours:many",
    },
    bars=(
        Bar(
            text="resident memory of 100,000 less that of 10,000, MB",
            contender=_MANY,
            figure="resident_mb",
            minus=_FEW,
            limit=10,
        ),
        Bar(
            text="actors in memory of 100,000",
            contender=_MANY,
            figure="actors_in_memory",
            limit=1000,
        ),
        Bar(
            text="conversations listed not exactly once while others come and go",
            contender=_MANY,
            figure="listed_wrong",
            limit=0,
        ),
    ),
)
