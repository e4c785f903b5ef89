"""A conversation of 5,000 messages in the chat panel of a real JupyterLab.

How long it takes from running the cell until the newest answer is in the page, what a
page of earlier turns costs, and whether one can scroll through all of them smoothly,
beside the same elements as bare HTML.
"""

from benchmarks.measure import Bar, Benchmark
from benchmarks.transcript.scroll import FRAME, OPEN

BENCHMARK = Benchmark(
    name="transcript",
    title="A conversation of 5,000 messages in a panel",
    contenders={"ours": "benchmarks.transcript.scroll:run"},
    bars=(
        Bar(
            text="from running the cell to the newest answer, in ms",
            contender="ours",
            figure=OPEN,
            limit=1000,
        ),
        Bar(
            text="the longest frame while scrolling through all, in ms",
            contender="ours",
            figure=FRAME,
            limit=50,
        ),
    ),
    most_rounds=3,
)
