"""When a failed attempt is made again: the error that allows it, the pauses between."""

import asyncio

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0


class TransientError(Exception):
    """An attempt failed and may be made again.

    Attributes:
        sent: whether the server may have received it.
    """

    def __init__(self, reason: object, *, sent: bool) -> None:
        super().__init__(str(reason) or type(reason).__name__)
        self.sent = sent


class Backoff:
    """Exponential pauses between attempts, until `seconds` after the first failure."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.reset()

    def reset(self) -> None:
        """An attempt succeeded: begin again with the shortest pause."""
        self._deadline: float | None = None
        self._pause = _FIRST_PAUSE

    async def pause(self, error: TransientError) -> None:
        """Wait before the next attempt.

        Raises:
            TransientError: the given one, if the time is over.
        """
        now = asyncio.get_running_loop().time()
        self._deadline = (
            now + self._seconds if self._deadline is None else self._deadline
        )
        if now + self._pause > self._deadline:
            raise error
        await asyncio.sleep(self._pause)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
