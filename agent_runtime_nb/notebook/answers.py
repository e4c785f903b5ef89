"""What `ask` and `stream` give: things to await or iterate, that say what they are."""

import asyncio
import contextlib
import html
from collections.abc import AsyncIterator, Generator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Self, TypeVar, cast

from agent_runtime_nb.agents.errors import turn_failed
from agent_runtime_nb.conversations.safe_markdown import to_html
from agent_runtime_nb.notebook.loop import (
    RuntimeLoop,
    ticking,
    wait_blocking,
    wait_in_cell,
)
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorResponseHandle,
    ActorResponseMessage,
    JsonValue,
    RequestStatus,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Answer:
    """The answer of an agent, shown as rendered Markdown in which nothing is active.

    Attributes:
        text: what the assistant said in this turn.
        messages: all that the turn brought, tool calls and results too, each a dict
            with role, content (the text) and contents (the framework's parts).
        status: `completed`; other ends are raised as `TurnFailed`.
        message_id: of the request.
        usage: what the model counted, if it did.
        actor_id: who answered.
        notices: what there is to know of the answer, that it was cut off say, each a
            dict with level ("info" or "warning") and text.
    """

    text: str
    messages: Sequence[Mapping[str, Any]]
    status: RequestStatus
    message_id: str
    usage: Mapping[str, Any] | None
    actor_id: ActorId
    notices: Sequence[Mapping[str, str]] = ()

    @classmethod
    def of(cls, response: ActorResponseMessage) -> Self:
        """The answer in a response.

        Raises:
            TurnFailed: if the status is not COMPLETED.
        """
        data: dict[str, Any] = _mapping(response.data)
        if response.status is not RequestStatus.COMPLETED:
            raise turn_failed(response)
        messages = tuple(_mapping(one) for one in data.get("messages", ()))
        return cls(
            text=_text_of(messages),
            messages=messages,
            status=response.status,
            message_id=response.message_id,
            usage=data.get("usage"),
            actor_id=response.sender_id,
            notices=tuple(_mapping(one) for one in data.get("notices", ())),
        )

    @property
    def conversation(self) -> str:
        """The conversation's name."""
        return self.actor_id.instance_id

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        notices = "".join(f"\n{one['level']}: {one['text']}" for one in self.notices)
        shown = f"Answer({self.text!r}, from {self.actor_id}, {self.status.value})"
        return shown + notices

    def _repr_html_(self) -> str:
        notices = (
            f"<p><b>{html.escape(one['level'])}:</b> {html.escape(one['text'])}</p>\n"
            for one in self.notices
        )
        return to_html(self.text) + "".join(notices)


@dataclass(frozen=True, slots=True)
class Update:
    """One piece of progress of a turn.

    Attributes:
        sequence: its number in the turn.
        progress: what the actor sent; of an agent the framework's update as a dict.
        text: the text that it adds to the answer; may be empty.
    """

    sequence: int
    progress: JsonValue = field(repr=False)
    text: str


class Pending(Generic[T]):
    """Something that was started and goes on by itself; `await` it for the result.

    An interrupted cell stops waiting, what it waited for goes on: await it again.

    Args:
        future: what is under way.
        runtime_loop: the loop that it runs on.
        what: what it is, for people.
    """

    def __init__(
        self, future: "Future[T]", runtime_loop: RuntimeLoop, what: str
    ) -> None:
        self._future = future
        self._runtime_loop = runtime_loop
        self._what = what

    def __await__(self) -> Generator[Any, None, T]:
        return self._result().__await__()

    async def _result(self) -> T:
        with _saying_that_it_goes_on("await"):
            return await wait_in_cell(self._future)

    if not TYPE_CHECKING:  # a type checker knows without it what is missing

        def __getattr__(self, name: str) -> NoReturn:
            problem = f"a {type(self).__name__} has no {name!r}"
            if hasattr(Answer, name):
                problem += "; await it first: answer = await rt.ask(...)"
            raise AttributeError(problem, name=name, obj=self)

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self._future.done()

    def wait(self) -> T:
        """The result, without `await`; see `NotebookRuntime.ask_sync`."""
        return wait_blocking(self._future, self._runtime_loop)

    def __repr__(self) -> str:
        if not self._future.done():
            return f"<{self._what}: under way; await it for the result>"
        error = self._future.exception()
        if error is not None:
            return f"<{self._what}: failed, {type(error).__name__}: {error}>"
        return f"<{self._what}: done; await it for the result>"


class AnswerStream(AsyncIterator[Update]):
    """The updates of one turn, as they come; then `answer` holds the whole.

    If the iteration is interrupted, the turn goes on; iterating again goes on with
    the next update.

    Args:
        sent: the request.
        what: what it is, for people.
    """

    def __init__(self, sent: "Future[ActorResponseHandle]", what: str) -> None:
        self._sent = sent
        self._what = what
        self._updates: AsyncIterator[ActorResponseMessage] | None = None
        self._sequence: int | None = None
        self.answer: Answer | None = None

    async def __anext__(self) -> Update:
        """The next update.

        Raises:
            TurnFailed: at the end, if the turn did not complete.
        """
        if self.answer is not None:
            raise StopAsyncIteration
        with _saying_that_it_goes_on("iterate"):
            message = await self._next()
        if message.status is not RequestStatus.PENDING:
            self.answer = Answer.of(message)
            raise StopAsyncIteration
        self._sequence = int(message.data["sequence"])
        progress = message.data["progress"]
        return Update(self._sequence, progress, _added_text(progress))

    async def _next(self) -> ActorResponseMessage:
        handle = await wait_in_cell(self._sent)
        if self._updates is None:
            self._updates = handle.watch_updates(self._sequence)
        try:
            with ticking():
                return await anext(self._updates)
        except asyncio.CancelledError:
            self._updates = None  # a cancelled iterator has ended; start a new one
            raise

    if not TYPE_CHECKING:  # a type checker knows without it what is missing

        def __iter__(self) -> NoReturn:
            raise TypeError("use async for: async for update in rt.stream(...)")

        def __await__(self) -> NoReturn:
            problem = "a stream is not awaited, use async for: "
            raise TypeError(problem + "async for update in rt.stream(...)")

    def __repr__(self) -> str:
        if self.answer is not None:
            return f"<{self._what}: done; its answer is {self.answer!r}>"
        return f"<{self._what}: under way; use: async for update in ...>"


@contextlib.contextmanager
def _saying_that_it_goes_on(verb: str) -> Generator[None]:
    """Give the cancellation of a wait, which a cell shows as an error, its words."""
    try:
        yield
    except asyncio.CancelledError as error:
        # A message is there if somebody cancelled on purpose, and may be looked for.
        if not error.args:
            problem = "the wait was interrupted; the answer goes on"
            error.args = (f"{problem}: {verb} the same object, or rt.chat(...)",)
        raise


def _mapping(value: JsonValue) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _text_of(messages: Sequence[Mapping[str, Any]]) -> str:
    said = (one.get("content") for one in messages if one.get("role") == "assistant")
    return "\n\n".join(text for text in said if text)


def _added_text(progress: JsonValue) -> str:
    contents = _mapping(progress).get("contents") or ()
    parts = (_mapping(content) for content in contents)
    return "".join(
        part.get("text") or "" for part in parts if part.get("type") == "text"
    )
