"""The bounds on what waits in a runtime, whoever it waits for."""

from agent_runtime_nb.exceptions import MailboxFull
from agent_runtime_nb.runtime.turn import Turn
from agent_runtime_nb.settings import RuntimeSettings


class Admission:
    """The bounds on the requests that wait, of all actors of a runtime together.

    A request waits from the call of its sender on: for its actor's claim, for the
    storage to take it, for the turns before it. One that need not wait for other turns
    waits no longer once it is stored; one that must, counts until it has ended.

    Attributes:
        waiting: how many wait.
        waiting_bytes: what they weigh.
    """

    __slots__ = ("_settings", "waiting", "waiting_bytes")

    def __init__(self, settings: RuntimeSettings) -> None:
        self._settings = settings
        self.waiting = 0
        self.waiting_bytes = 0

    def admit(self, turn: Turn, ahead: int, retry_after: float) -> None:
        """Count a request that waits behind `ahead` others of its actor.

        Raises:
            MailboxFull: if there is no room for it.
        """
        settings, waiting = self._settings, self.waiting
        if ahead >= settings.mailbox_limit:
            raise MailboxFull(turn.actor_id, settings.mailbox_limit, retry_after)
        if (
            waiting >= settings.waiting_limit
            or self.waiting_bytes + len(turn.body) > settings.waiting_bytes
        ):
            raise MailboxFull("the runtime", waiting, retry_after)
        self.count(turn)

    def count(self, turn: Turn) -> None:
        """Count a request for which there is always room."""
        if not turn.waits:
            turn.waits = True
            self.waiting += 1
            self.waiting_bytes += len(turn.body)

    def release(self, turn: Turn) -> None:
        """It waits no longer; one that is not counted may be released, too."""
        if turn.waits:
            turn.waits = False
            self.waiting -= 1
            self.waiting_bytes -= len(turn.body)
