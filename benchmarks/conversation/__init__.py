"""A turn in a long conversation against one in a short one, the actor in memory.

The agent does next to nothing and measures its own run; "outside" is the rest of the
turn. "written" is what SQLite appends to its write-ahead log, which later reaches the
file. NORMAL, so that waiting for the disk does not hide what a turn costs.
"""

from benchmarks.measure import Bar, Benchmark

_SHORT, _LONG = "10 messages", "1,000 messages"

BENCHMARK = Benchmark(
    name="conversation",
    title="A turn of an AgentActor, by the length of the conversation",
    contenders={
        _SHORT: "benchmarks.conversation.ours:short",
        _LONG: "benchmarks.conversation.ours:long",
    },
    bars=(
        Bar(
            text="time outside the agent's run, long against short",
            contender=_LONG,
            figure="outside_us",
            over=_SHORT,
            limit=1.5,
        ),
        Bar(
            text="the same in CPU time",
            contender=_LONG,
            figure="outside_cpu_us",
            over=_SHORT,
            limit=1.5,
        ),
        Bar(
            text="bytes written, long against short",
            contender=_LONG,
            figure="written_bytes",
            over=_SHORT,
            limit=1.5,
        ),
    ),
)
