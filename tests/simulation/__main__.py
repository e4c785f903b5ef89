"""Run one seed again and show what happened: `python -m tests.simulation 1234`."""

import logging
import sys

from tests.simulation.scenario import simulate_seed


def main() -> int:
    """Show the trace of each seed named."""
    logging.disable()
    broken = 0
    for seed in map(int, sys.argv[1:]):
        outcome = simulate_seed(seed)
        sys.stdout.write(outcome.report() + "\n")
        broken += bool(outcome.findings)
    return broken


if __name__ == "__main__":
    raise SystemExit(main())
