"""The dashboard: what every actor of a runtime is doing, in one table.

It starts from `RuntimeDirectory.list_actors`, follows `watch_events`, and asks `health`
every other second, all only while somebody looks. One widget for all actors: a widget
per row needs a hundred times the traffic.

Messages to the front end: snapshot, batch (changed rows, ids that are gone, figures)
and pong; from it: ping and resync (see `LiveWidget`).
"""

import asyncio
from pathlib import Path
from typing import Any

from agent_runtime_nb.exceptions import AgentRuntimeError
from agent_runtime_nb.runtime_directory import (
    Health,
    RuntimeDirectory,
)
from agent_runtime_nb.widgets.actor_dashboard.board import Board
from agent_runtime_nb.widgets.channel import SHARED_BUDGET, Change, MessageBudget
from agent_runtime_nb.widgets.live_widget import LiveWidget, is_over

_STATIC = Path(__file__).parents[1] / "static"
_MAX_LISTED = 5_000
_HEALTH_EVERY = 2.0


class ActorDashboard(LiveWidget):
    """A live table of actors, for the output of a cell or any ipywidgets container.

    Args:
        directory: what to watch.
        title: the heading.
        loop: the event loop on which all tasks of the widget run; None is the running
            one. Give the runtime's.
        limit: rows at most; further actors are counted.
        lease: seconds after which a dashboard that nobody displays stops watching.
        budget: of messages to the front end.
        **options: ipywidgets' own, such as `layout`.
    """

    _esm = _STATIC / "actor_dashboard.js"
    _css = _STATIC / "actor_dashboard.css"

    def __init__(
        self,
        directory: RuntimeDirectory,
        *,
        title: str = "Actors",
        loop: asyncio.AbstractEventLoop | None = None,
        limit: int = 200,
        lease: float = 150.0,
        budget: MessageBudget = SHARED_BUDGET,
        **options: Any,
    ) -> None:
        self._directory = directory
        self._title = title
        self._limit = limit
        self._board = Board(limit)
        self._head: dict[str, Any] = {"phase": "loading"}
        super().__init__(loop=loop, wait=0.25, lease=lease, budget=budget, **options)

    def __repr__(self) -> str:
        count = len(self._board.to_json())
        return f"ActorDashboard({count} actor{'' if count == 1 else 's'})"

    def to_markdown(self) -> str:
        """The table as Markdown; any thread."""
        lines = [
            "| actor | state | turns | waiting | last |",
            "| --- | --- | --- | --- | --- |",
        ]
        for row in self.channel.snapshot()["rows"]:
            cells = (
                row["id"].replace("|", "\\|"),
                row["activity"],
                row["turns"] or 0,
                row["waiting"],
                row["last_status"] or "",
            )
            lines.append(f"| {' | '.join(map(str, cells))} |")
        return "\n".join(lines) + "\n"

    def _describe(self) -> dict[str, Any]:
        return {
            "title": self._title,
            "head": dict(self._head),
            "hidden": self._board.hidden,
            "rows": self._board.to_json(),
        }

    def _on_message(self, kind: str, content: dict[str, Any]) -> None:
        """There is nothing to ask of a dashboard yet."""

    async def _follow(self) -> None:
        """Watch events and health side by side; start anew when the watch ends.

        Once the runtime was stopped, only a message of a front end begins this anew.
        """
        pause = 0.5
        while True:
            health = self._spawn(self._watch_health(), "health")
            try:
                await self._watch()  # its end says nothing: loading again tells why
            except AgentRuntimeError as error:
                health.cancel()  # or it might say something later than this
                if is_over(error):
                    over = {"phase": "stopped", "status": "stopped"}
                    self._show_head({**self._head, **over})
                    return
                self._show_head({"phase": "offline", "detail": str(error)})
            finally:
                health.cancel()
            await asyncio.sleep(pause)
            pause = min(pause * 2, 10.0)

    async def _watch(self) -> None:
        """Follow until the watch ends.

        It begins before the list is read, so nothing falls between the two.
        """
        loaded = asyncio.Event()
        applying = self._owner.spawn(
            self._apply_events(loaded), name="ActorDashboard.events"
        )
        try:
            await self._load()
            loaded.set()
            if (error := await applying) is not None:
                raise error
        finally:
            applying.cancel()

    async def _apply_events(self, loaded: asyncio.Event) -> AgentRuntimeError | None:
        try:
            async for events in self._directory.watch_events():
                await loaded.wait()
                with self.channel.change():
                    for event in events:
                        self._board.apply(event)
        except AgentRuntimeError as error:
            return error
        return None

    async def _load(self) -> None:
        board = Board(self._limit)
        after: str | None = None
        for _ in range(_MAX_LISTED // 200):
            page = await self._directory.list_actors(after=after, limit=200)
            board.load(page.items)
            after = page.next
            if after is None:
                break
        with self.channel.change():
            self._board = board
            self._board.take_changes()
        self._loaded.set()
        self.channel.publish_snapshot()

    async def _watch_health(self) -> None:
        while True:
            try:
                self._show_head(_head(await self._directory.health()))
            except AgentRuntimeError as error:
                self._show_head({"phase": "offline", "detail": str(error)})
            await asyncio.sleep(_HEALTH_EVERY)

    def _show_head(self, head: dict[str, Any]) -> None:
        if head != self._head:
            with self.channel.change() as emit:
                self._head = head
                emit({"op": "head", "head": dict(head)})

    def _collect(self) -> list[Change]:
        rows, gone = self._board.take_changes()
        changes: list[Change] = [{"op": "row", "row": row} for row in rows]
        changes += [{"op": "gone", "id": actor_id} for actor_id in gone]
        if changes:
            changes.append({"op": "hidden", "hidden": self._board.hidden})
        return changes


def _head(health: Health) -> dict[str, Any]:
    return {
        "phase": "live" if health.status != "stopped" else "offline",
        "status": health.status,
        "storage": health.storage,
        "loop_lag": round(health.loop_lag, 3),
        "resident": health.resident,
        "running": health.running,
        "waiting": health.waiting,
        "detail": health.detail,
    }
