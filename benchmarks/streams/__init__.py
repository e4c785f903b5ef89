"""What an update costs on its way to those who watch.

A producer publishes 1,000 updates and lets the loop turn after each; every reader takes
all of them. The floor is a queue for each reader.
"""

from benchmarks.measure import Benchmark

BENCHMARK = Benchmark(
    name="streams",
    title="Updates of one turn: published per CPU second, all readers served",
    contenders={
        "queues": "benchmarks.streams.floor:run",
        "ours": "benchmarks.streams.ours:run",
    },
)
