"""A streamed answer from the agent's yield to the page, in a real JupyterLab.

2,000 tokens at 200 a second: what the kernel spends, what the connection carries, when
the words stand in the page, and whether the page stays smooth. Beside the panel: an
ipywidgets text that grows, and Panel's `ChatInterface`.

The server compresses its WebSockets, as the project's Binder does; by itself Jupyter
Server does not, and then the wire carries what is in the frames. Two thirds of that is
Jupyter's own: 600 bytes of headers around each message.
"""

from importlib.util import find_spec

from benchmarks.measure import Bar, Benchmark
from benchmarks.panel.stream import CPU, FRAME, LATENCY, SENT, WIRE

BENCHMARK = Benchmark(
    name="panel",
    title="2,000 tokens at 200/s into a notebook",
    contenders={
        "trait": "benchmarks.panel.stream:run_trait",
        "ours": "benchmarks.panel.stream:run_ours",
        # A peer with many packages: `make bench` installs it.
        **(
            {"panel": "benchmarks.panel.stream:run_panel"} if find_spec("panel") else {}
        ),
    },
    bars=(
        Bar(
            text="bytes that the panel sends against the text's",
            contender="ours",
            figure=SENT,
            limit=3,
        ),
        Bar(
            text="bytes on the wire, compressed as in Binder, against the text's",
            contender="ours",
            figure=WIRE,
            limit=3,
        ),
        Bar(
            text="the kernel's share of a core, in percent, without the agent's own",
            contender="ours",
            figure=CPU,
            limit=5,
        ),
        Bar(text="the longest frame, in ms", contender="ours", figure=FRAME, limit=50),
        Bar(
            text="from the agent's yield to the page, p95 in ms",
            contender="ours",
            figure=LATENCY,
            limit=100,
        ),
    ),
    most_rounds=3,
)
