"""The accepted requests of one actor that wait for their turn."""

from agent_runtime_nb.runtime.turn import Turn


class Mailbox(list[Turn]):
    """The waiting turns of one actor, oldest first.

    A list: there are few (the mailbox is bounded), mostly one, and an empty deque takes
    600 bytes for each idle actor.
    """

    __slots__ = ()

    def peek(self) -> Turn | None:
        """The next turn, left where it is."""
        return self[0] if self else None

    def take(self) -> Turn | None:
        """The next turn, taken out."""
        return self.pop(0) if self else None

    def put_back(self, turn: Turn) -> None:
        """Put a turn that was taken in front of the others again."""
        self.insert(0, turn)

    def withdraw(self, turn: Turn) -> bool:
        """Take one turn out, wherever it stands; whether it was there."""
        if turn not in self:
            return False
        self.remove(turn)
        return True
