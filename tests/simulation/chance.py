"""Chance that can be repeated."""

from random import Random


def seeded(*seed: object) -> Random:
    """A source of numbers that are the same for the same seed."""
    return Random(repr(seed))  # noqa: S311 - to be repeated, not to be secret
