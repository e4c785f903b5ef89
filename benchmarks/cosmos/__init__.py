"""A turn's time in the Cosmos DB storage, by the length of the conversation.

It is measured on the tests' emulator: what is sent and what the client does for a turn
must not grow with what was said before. The figures say nothing of the service's own
speed. "claim" is what a conversation costs that is opened again; its turns are not read
for it.
"""

from benchmarks.measure import Bar, Benchmark

_SHORT, _LONG = "10 messages", "1,000 messages"

BENCHMARK = Benchmark(
    name="cosmos",
    title="Accept and commit of a turn on the Cosmos DB emulator",
    contenders={
        _SHORT: "benchmarks.cosmos.ours:short",
        _LONG: "benchmarks.cosmos.ours:long",
    },
    bars=(
        Bar(
            text="storage time of a turn, long against short",
            contender=_LONG,
            figure="turn_us",
            over=_SHORT,
            limit=1.5,
        ),
    ),
)
