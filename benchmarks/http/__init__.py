"""What HTTP adds: an ask over the embedded server, and a burst of events.

The floor is a bare FastAPI app that hands each request over to a loop in another
thread, as the embedded server must, and answers an echo; of streams, `sse-starlette`.
The client is a process of its own.
"""

from benchmarks.http.work import BUSY, EVENTS, SINGLE
from benchmarks.measure import Bar, Benchmark

BENCHMARK = Benchmark(
    name="http",
    title="Asks over HTTP, 16 connections; p99 with 200; 1,000 events in a burst",
    contenders={
        "bare": "benchmarks.http.bare:run",
        "memory": "benchmarks.http.ours:run_memory",
        "sqlite": "benchmarks.http.ours:run_sqlite",
    },
    bars=(
        Bar(
            text="an ask on memory: at least 0.6 times a bare echo with a thread hop",
            contender="memory",
            figure=SINGLE,
            over="bare",
            limit=0.6,
            at_least=True,
        ),
        Bar(
            text="events in bursts: at least 5 times sse-starlette",
            contender="memory",
            figure=EVENTS,
            over="bare",
            limit=5,
            at_least=True,
        ),
        Bar(
            text="p99 of 200 at once on memory: under a second",
            contender="memory",
            figure=BUSY,
            limit=1000,
        ),
    ),
)
