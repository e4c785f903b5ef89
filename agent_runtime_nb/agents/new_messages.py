"""What of a conversation that is handed on whole its agent has not received yet.

Workflows and web clients send everything again in each round. Messages are known by
their ids. Answers come back with other ids from some clients: those are known by their
words, but only where they were said, behind the question that they answer; elsewhere
somebody else may have said the same.
"""

from collections.abc import Sequence

from agent_framework import Message


def select_new_messages(
    inputs: Sequence[Message], history: Sequence[Message]
) -> list[Message]:
    """The messages that are not in the history, in their order, and always the last one.

    Args:
        inputs: what was sent, at least one message.
        history: what the agent knows.
    """
    *before, last = inputs
    known = set(map(_identity, history))
    answers = _answers(history)
    new: list[Message] = []
    answered: set[tuple[str, str]] | None = None  # behind the question before
    for message in before:
        is_known = _identity(message) in known
        if message.role == "user":
            answered = answers.get(message.message_id or "") if is_known else None
        elif answered is not None:
            is_known |= not message.text or _words(message) in answered
        if not is_known:
            new.append(message)
    return [*new, last]


def _answers(history: Sequence[Message]) -> dict[str, set[tuple[str, str]]]:
    """What followed each question of a history, by the question's id."""
    answers: dict[str, set[tuple[str, str]]] = {}
    answered: set[tuple[str, str]] = set()
    for message in history:
        if message.role == "user":
            answered = answers[message.message_id or ""] = set()
        else:
            answered.add(_words(message))
    return answers


def _identity(message: Message) -> tuple[str | None, str, str]:
    # Not the id alone: some services give each of their answers the same one.
    return message.message_id, *_words(message)


def _words(message: Message) -> tuple[str, str]:
    return str(message.role), message.text
