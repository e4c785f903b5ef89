"""A widget whose transcript can be kept in the notebook: on request, or after each turn.

On request the live view is replaced by the transcript: its output becomes HTML, Markdown
and plain text. After each turn it must stay as it is, with what somebody is writing in
it; so the transcript stands in a second output beside it, which the live view hides while it
is there, and which is what remains of both in a saved notebook.

Messages of a front end: `freeze`, answered by `done` or `refused`, and `saved_data`,
with which a page that does not know the outputs' display ids (see `displays`) asks for
what it missed. Messages to it: `saved {revision, frozen, model_id}` after each change,
and `saved_data {revision, live, copy, metadata}`.
"""

import asyncio
import concurrent.futures
import logging
from collections.abc import Generator
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, Literal

import traitlets

from agent_runtime_nb._base.untrusted_json import as_object
from agent_runtime_nb.exceptions import AgentRuntimeError, InvalidRequest, NotRunning
from agent_runtime_nb.widgets.chat_panel.frozen import (
    TranscriptCopy,
    TranscriptWriter,
    frozen_at,
    frozen_bundle,
    one_line,
)
from agent_runtime_nb.widgets.displays import Displays
from agent_runtime_nb.widgets.live_widget import LiveWidget

FreezeWhen = Literal["never", "turn"]

_KEY = "agent_runtime_nb"
_GO_ON = "Run the cell again to go on."

_log = logging.getLogger(__name__)


class FreezableWidget(LiveWidget):
    """A live widget that shows a conversation and can leave a copy of it in the notebook.

    Subclasses give the transcript, and call `_transcript_changed` on the widget's loop.

    Args:
        freeze: "turn" keeps the transcript after each turn; "never" only on request.
        displays: the outputs that show the widget.
        settle: seconds in which further turns may end before the transcript is written.
        **options: those of `LiveWidget`.

    Raises:
        InvalidRequest: if `freeze` is something else.
    """

    mark = traitlets.Unicode().tag(sync=True)
    """The class of the copies, by which a view hides them."""

    def __init__(
        self,
        *,
        freeze: FreezeWhen = "never",
        displays: Displays | None = None,
        settle: float = 0.5,
        **options: Any,
    ) -> None:
        if freeze not in ("never", "turn"):
            raise InvalidRequest("freeze", 'must be "never" or "turn"')
        self._displays = Displays() if displays is None else displays
        self._keeps_turns = freeze == "turn"
        self._settle = settle
        self._writer = TranscriptWriter()
        self._to_keep = False
        self._keeping: asyncio.Task[None] | None = None
        self._revision = 0
        self._saved: dict[str, Any] = {}
        super().__init__(mark=self._displays.mark, **options)

    def _shown(self) -> TranscriptCopy:
        """What is shown now; any thread."""
        raise NotImplementedError

    async def _read_transcript(self) -> TranscriptCopy:
        """The whole conversation that is shown."""
        raise NotImplementedError

    # --- any thread -------------------------------------------------------------------

    def freeze(self) -> "Freezing":
        """Put what was said in the place of the panel, in every cell that shows it.

        It stays readable without a kernel: in the saved notebook, on sites that show
        notebooks, and in what they are converted to. Run the cell again to go on. It
        begins at once; await the result to know that it is done.

        Returns:
            An awaitable; it raises InvalidRequest if the panel has no output of its
            own, because it was not displayed or stands in another widget.
        """
        future: Future[None] = concurrent.futures.Future()
        if self._ended or not self._loop.is_running():
            future.set_exception(NotRunning("stopped"))
        else:
            self._call(self._begin_freezing, future)
        return Freezing(future)

    def _ipython_display_(self) -> None:
        shown: tuple[dict[str, Any], dict[str, Any]] | None = self._repr_mimebundle_()
        if shown is None:
            return
        copy = None
        if self._keeps_turns:
            copy = self._copy(self._shown_with_known()), self._metadata()
        self._displays.show(*shown, copy)
        self._call(self._transcript_changed)  # all of them: what is shown may be less

    def _texts(self) -> dict[str, str]:
        words = self._shown_with_known()
        line = {"text/plain": one_line(words)}
        if self._keeps_turns:
            return line  # the copy tells the rest
        kept = f"As of {frozen_at()}." if words.known else "Nothing of it is kept here."
        return {**frozen_bundle(words, f"{kept} {_GO_ON}"), **line}

    def _copy(self, words: TranscriptCopy) -> dict[str, str]:
        note = f"Saved copy, as of {frozen_at()}. {_GO_ON}"
        mark = self._displays.mark
        return frozen_bundle(words, note, mark=mark, writer=self._writer)

    # --- on the widget's loop ---------------------------------------------------------

    def _receive(self, content: Any) -> None:
        kind = as_object(content).get("type")
        if kind not in ("freeze", "saved_data"):
            super()._receive(content)
        elif self._ended:
            return
        elif kind == "freeze":
            self._attach()
            self._spawn(self._answer_freeze(), "freeze")
        elif self._saved:
            self._post({"type": "saved_data", **self._saved})

    def _transcript_changed(self) -> None:
        """A turn has ended, or another conversation is shown."""
        if self._keeps_turns and not self._ended:
            self._to_keep = True
            if self._keeping is None or self._keeping.done():
                self._keeping = self._spawn(self._keep(), "keep")

    async def _keep(self) -> None:
        while self._to_keep:
            await asyncio.sleep(self._settle)
            self._to_keep = False
            words = await self._read_or_shown()
            copy = await asyncio.to_thread(self._copy, words)
            if not self._displays:
                return  # frozen meanwhile
            self._revision += 1
            metadata = self._metadata()
            self._displays.update_copy(copy, metadata)
            self._post_saved(copy=copy, metadata=metadata)

    def _begin_freezing(self, future: "Future[None]") -> None:
        if self._ended:
            future.set_exception(NotRunning("stopped"))
            return
        task = self._owner.spawn(self._freeze(), name="freeze", awaited=True)
        task.add_done_callback(lambda done: _copy_outcome(done, future))

    async def _answer_freeze(self) -> None:
        try:
            await self._freeze()
        except AgentRuntimeError as error:
            described = {
                "type": type(error).__name__,
                "message": str(error),
                "retryable": error.retryable,
            }
            refused = {"type": "refused", "message_id": "", "error": described}
            self._post({**refused, "what": "freeze"})
        else:
            name = self._shown().actor_id.instance_id
            self._post({"type": "done", "what": "freeze", "instance_id": name})

    async def _freeze(self) -> None:
        if not self._displays:
            problem = (
                "has no output of its own: it was not displayed, or it stands in "
                "another widget; display the panel itself, or use its to_markdown()"
            )
            raise InvalidRequest("the chat panel", problem)
        words = await self._read_or_shown()
        note = f"Frozen at {frozen_at()}. {_GO_ON}"
        frozen = await asyncio.to_thread(frozen_bundle, words, note)
        self._revision += 1
        if self._keeps_turns:
            # Both outputs stay; the transcript is in the one that had it already.
            line = {"text/html": f"<p><em>{note}</em></p>", "text/plain": note}
            metadata = self._metadata()
            self._displays.replace(line)
            self._displays.update_copy(frozen, metadata)
            self._post_saved(live=line, copy=frozen, metadata=metadata)
        else:
            self._displays.replace(frozen)
            self._post_saved(live=frozen)
        self._displays.forget()

    async def _read_or_shown(self) -> TranscriptCopy:
        """The whole conversation, or if it cannot be read what is shown of it."""
        try:
            return await self._read_transcript()
        except AgentRuntimeError as error:
            _log.info("what is shown is kept, for reading failed: %s", error)
            return self._shown_with_known()

    def _shown_with_known(self) -> TranscriptCopy:
        return replace(self._shown(), known=self._loaded.is_set())

    def _metadata(self) -> dict[str, Any]:
        """Of a copy's output: by it a front end finds one that is behind."""
        return {_KEY: {"copy": self._displays.mark, "revision": self._revision}}

    def _post_saved(self, **saved: Any) -> None:
        self._saved = {"revision": self._revision, **saved}
        self._post(
            {
                "type": "saved",
                "revision": self._revision,
                "frozen": "live" in saved,
                "model_id": self.model_id,
            }
        )


class Freezing:
    """A panel is being frozen, which goes on by itself; `await` it for the end."""

    def __init__(self, future: "Future[None]") -> None:
        self._future = future

    def __await__(self) -> Generator[Any, None, None]:
        return asyncio.shield(asyncio.wrap_future(self._future)).__await__()

    def __repr__(self) -> str:
        if not self._future.done():
            return "<freezing the chat panel: under way>"
        error = self._future.exception()
        if error is not None:
            return f"<freezing the chat panel: failed, {error}>"
        return "<freezing the chat panel: done>"


def _copy_outcome(done: "asyncio.Task[None]", future: "Future[None]") -> None:
    if done.cancelled():
        future.set_exception(NotRunning("stopped"))
    elif (error := done.exception()) is not None:
        future.set_exception(error)
    else:
        future.set_result(None)
