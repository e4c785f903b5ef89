"""What a person does with requests in the chat panel.

Stop is acknowledged: a turn says `stop: "asked"` at once, and then either ends, or
says `stop: "refused"` and why in `stop_detail`, until it ends.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

from agent_runtime_nb._base.untrusted_json import as_list, as_object
from agent_runtime_nb.agents.approvals import answer_properties
from agent_runtime_nb.exceptions import AgentRuntimeError, InvalidRequest
from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.widgets.chat_panel.attachments import user_message
from agent_runtime_nb.widgets.chat_panel.contents import Decision
from agent_runtime_nb.widgets.chat_panel.panel_state import Handler, PanelState
from agent_runtime_nb.widgets.chat_panel.turn import ShownTurn

_DECISIONS: Mapping[str, Decision] = {
    "once": "once",
    "conversation": "conversation",
    "deny": "denied",
}
_LONGEST_REASON = 2000
_TITLE = 48  # characters
_TOO_LATE = "It was too late to stop this turn: its answer is being stored."
_NO_REACTION = (
    "The agent does not react to Stop. It may be in code that cannot be interrupted; "
    "if it goes on, interrupt or restart the kernel."
)


class Requests:
    """Sends, stops, repeats, discards and answers, for one panel.

    Args:
        state: what the panel shows.
        patience: seconds after which a turn that was told to stop, and has not ended,
            is said not to react.
    """

    def __init__(self, state: PanelState, patience: float) -> None:
        self._state = state
        self._patience = patience
        self._sending: dict[str, asyncio.Task[None]] = {}
        self.handlers: dict[str, Handler] = {
            "send": self._on_send,
            "stop": self._on_stop,
            "retry": self._on_retry,
            "discard": self._on_discard,
            "answer": self._on_answer,
        }

    def _named(self, content: dict[str, Any]) -> ActorId:
        """The conversation of a message; another view may have switched since."""
        name = content.get("instance_id") or self._state.actor_id.instance_id
        return self._state.named(str(name))

    def _on_send(self, content: dict[str, Any]) -> None:
        text, message_id = str(content["text"]), str(content["message_id"])
        actor_id = self._named(content)
        try:
            params = user_message(text, as_list(content.get("media")), message_id)
        except InvalidRequest as error:
            self._state.refuse(message_id, error)
            return
        sending = self._send(actor_id, params, message_id, text)
        task = self._state.spawn(sending, "send")
        self._sending[message_id] = task
        task.add_done_callback(lambda _: self._sending.pop(message_id, None))

    async def _send(
        self, actor_id: ActorId, params: Any, message_id: str, text: str
    ) -> None:
        state, title = self._state, _title(text)
        if await state.send(actor_id, params, message_id) and title:
            if actor_id not in state.untitled:
                return
            state.untitled.discard(actor_id)
            with contextlib.suppress(AgentRuntimeError):  # it has a name all the same
                await state.directory.rename(actor_id, title)
            state.changed(actor_id)

    # --- stop -------------------------------------------------------------------------

    def _on_stop(self, content: dict[str, Any]) -> None:
        message_id, actor_id = str(content["message_id"]), self._named(content)
        turn = self._state.transcript.turn(message_id)
        if turn is None or actor_id != self._state.actor_id:
            work = self._stop_unseen(actor_id, message_id)
            self._state.spawn(work, "stop")
            return
        if turn.facts["status"] not in ("waiting", "running"):
            return
        before = turn.facts["status"]
        with self._state.change() as emit:
            asked = {"status": "stopping", "stop": "asked", "stop_detail": None}
            self._state.transcript.set(turn, emit, **asked)
        work = self._stop(actor_id, message_id, before)
        self._state.spawn(work, "stop")

    async def _stop_unseen(self, actor_id: ActorId, message_id: str) -> None:
        """Stop what is no turn yet: a cell may have held up both, it and its Stop."""
        if (sending := self._sending.get(message_id)) is not None:
            await asyncio.wait([sending])
        try:
            await self._cancel(actor_id, message_id, "waiting")
        except AgentRuntimeError as error:
            self._state.refuse(message_id, error, "stop")

    async def _stop(self, actor_id: ActorId, message_id: str, before: str) -> None:
        try:
            taken = await self._cancel(actor_id, message_id, before)
        except AgentRuntimeError as error:
            self._not_stopped(message_id, before, f"It could not be stopped: {error}")
            return
        # Its end comes through the watch, also if it ended just before.
        await asyncio.sleep(self._patience if taken else min(1.0, self._patience))
        reason = _NO_REACTION if taken else _TOO_LATE
        self._not_stopped(message_id, before, reason)

    async def _cancel(self, actor_id: ActorId, message_id: str, before: str) -> bool:
        directory = self._state.directory
        if before == "waiting" and await directory.withdraw(actor_id, message_id):
            return True
        return await self._state.client.cancel(actor_id, message_id)

    def _not_stopped(self, message_id: str, before: str, detail: str) -> None:
        turn = self._state.transcript.turn(message_id)
        if turn is None or turn.facts["status"] != "stopping":
            return
        with self._state.change() as emit:
            refused = {"status": before, "stop": "refused", "stop_detail": detail}
            self._state.transcript.set(turn, emit, **refused)

    # --- once more, or not at all -----------------------------------------------------

    def _on_retry(self, content: dict[str, Any]) -> None:
        work = self._retry(self._named(content), str(content["turn"]))
        self._state.spawn(work, "retry")

    async def _retry(self, actor_id: ActorId, message_id: str) -> None:
        try:
            await self._state.directory.run_again(actor_id, message_id)
        except AgentRuntimeError as error:
            self._state.refuse(message_id, error, "retry")

    def _on_discard(self, content: dict[str, Any]) -> None:
        work = self._discard(self._named(content), str(content["turn"]))
        self._state.spawn(work, "discard")

    async def _discard(self, actor_id: ActorId, message_id: str) -> None:
        try:
            await self._state.directory.discard(actor_id, message_id)
        except AgentRuntimeError as error:
            self._state.refuse(message_id, error, "discard")
            return
        if actor_id == self._state.actor_id:
            with self._state.change() as emit:
                self._state.transcript.discard(message_id, emit)
        self._state.done("discard", actor_id)
        self._state.changed(actor_id)

    # --- approvals --------------------------------------------------------------------

    def _on_answer(self, content: dict[str, Any]) -> None:
        """Note a decision; the answers go out once all questions are decided.

        The framework runs nothing until all are answered, and asks again for the rest.
        """
        decision = _DECISIONS[str(content["decision"])]
        reason = str(content.get("reason") or "")[:_LONGEST_REASON].strip() or None
        if self._named(content) != self._state.actor_id:
            return  # the question is not on the page any more
        turn = self._state.transcript.turn(str(content["turn"]))
        request_id = str(content["request_id"])
        asked = [] if turn is None else [one["id"] for one in turn.open_approvals]
        if turn is None or request_id not in asked:
            return
        self._note(turn, request_id, decision, reason)
        if not turn.open_approvals:
            self._state.spawn(self.answer(self._state.actor_id, turn), "answer")

    def _note(
        self,
        turn: ShownTurn,
        request_id: str,
        decision: Decision | None,
        reason: str | None,
    ) -> None:
        """Mark a question here and in the other panels, which may decide the rest."""
        self.mark(turn.message_id, request_id, decision, reason)
        actor_id = self._state.actor_id
        self._state.decided(actor_id, turn.message_id, request_id, decision, reason)

    def mark(
        self, turn: str, request_id: str, decision: Decision | None, reason: str | None
    ) -> None:
        """Show what was decided; None takes it back."""
        shown = self._state.transcript.turn(turn)
        if shown is not None:
            with self._state.change() as emit:
                shown.answer(request_id, decision, reason, emit)

    async def answer(self, actor_id: ActorId, turn: ShownTurn) -> None:
        """Send the decisions of a turn whose questions are all decided."""
        items = [item for item in turn.items if item["kind"] == "approval"]
        contents = [_approval_response(turn.requests[i["id"]], i) for i in items]
        # The id follows from the turn, so two panels cannot answer twice.
        message_id = f"{turn.message_id}-answer"
        message = {"role": "user", "contents": contents, "message_id": message_id}
        sent = await self._state.send(actor_id, {"messages": [message]}, message_id)
        # Refused although it is there: another panel answered, and that is shown.
        if not sent and self._state.transcript.turn(message_id) is None:
            for item in items:
                self._note(turn, item["id"], None, None)


def _title(text: str) -> str:
    """The beginning of a text, on one line; empty if there is none."""
    line = " ".join(text.split())
    return line if len(line) <= _TITLE else line[: _TITLE - 1].rstrip() + "…"


def _approval_response(
    request: Mapping[str, Any], item: Mapping[str, Any]
) -> dict[str, Any]:
    """The framework's answer to an approval request, as its own JSON."""
    response = {key: request[key] for key in request if key != "user_input_request"}
    response["type"] = "function_approval_response"
    response["approved"] = item["answer"] != "denied"
    said = answer_properties(
        for_conversation=item["answer"] == "conversation", reason=item["reason"]
    )
    if said:
        extra = as_object(response.get("additional_properties"))
        response["additional_properties"] = {**extra, **said}
    return response
