"""`python -m agent_runtime_nb` is the command `agent-runtime-nb`."""

from agent_runtime_nb.cli import main

main()
