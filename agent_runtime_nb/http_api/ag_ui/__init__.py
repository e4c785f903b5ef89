"""The same agents for front ends that speak AG-UI."""
