"""What one ask costs, in CPU time: the floor, this runtime, its peers.

"alone": one client asks one echo actor, one ask after the other. "thousand": 1,000
actors, each with a client of its own that asks ten times, all at once; ours reads and
writes a state key in every turn, the others only echo.
"""

from benchmarks.measure import Bar, Benchmark

BENCHMARK = Benchmark(
    name="asks",
    title="Asks on memory storage: CPU microseconds per ask",
    contenders={
        "floor": "benchmarks.asks.floor:run",
        "ours": "benchmarks.asks.ours:run",
        "autogen": "benchmarks.asks.autogen:run",
        "pykka": "benchmarks.asks.threads:run",
    },
    bars=(
        Bar(
            text="an ask alone against the floor",
            contender="ours",
            figure="alone_us",
            over="floor",
            limit=3.0,
        ),
        Bar(
            text="an ask with 1,000 actors against the floor",
            contender="ours",
            figure="thousand_us",
            over="floor",
            limit=4.0,
        ),
        Bar(
            text="AutoGen's ask alone against ours",
            contender="autogen",
            figure="alone_us",
            over="ours",
            limit=5.0,
            at_least=True,
        ),
        Bar(
            text="AutoGen's ask with 1,000 actors against ours",
            contender="autogen",
            figure="thousand_us",
            over="ours",
            limit=5.0,
            at_least=True,
        ),
    ),
)
