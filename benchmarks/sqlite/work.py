"""The work that every contender does."""

CONVERSATIONS = 64

TEXT = "What is known of the weather of the coming week in the mountains? " * 3

PARAMS = {"messages": [{"role": "user", "content": TEXT}]}
"""Both the request and the answer of a turn."""
