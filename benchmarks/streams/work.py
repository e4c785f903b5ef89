"""The work that every contender does."""

READERS = (1, 10)
TURNS = 5
UPDATES = 1000
TEXT = "some words "


def figure(readers: int) -> str:
    """The name of the figure for so many readers."""
    return f"readers_{readers}_per_s"
