"""What an import costs in a fresh interpreter, and what it loads.

"heavy" counts the loaded ones of the packages that must not be loaded.
"""

from benchmarks.measure import Bar, Benchmark

BENCHMARK = Benchmark(
    name="imports",
    title="Imports in a fresh interpreter",
    contenders={
        "agent_runtime_nb": "benchmarks.imports.contenders:ours",
        "ours, runtime": "benchmarks.imports.contenders:our_runtime",
        "ours, agent actor": "benchmarks.imports.contenders:our_agent_actor",
        "autogen_core": "benchmarks.imports.contenders:autogen",
        "pykka": "benchmarks.imports.contenders:pykka",
    },
    bars=(
        Bar(
            text="import agent_runtime_nb, milliseconds",
            contender="agent_runtime_nb",
            figure="import_ms",
            limit=150,
        ),
        Bar(
            text="heavy packages that it loads",
            contender="agent_runtime_nb",
            figure="heavy",
            limit=0,
        ),
    ),
)
