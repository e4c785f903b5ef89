"""Speed, measured beside the raw floor and the peers: `python -m benchmarks`."""
