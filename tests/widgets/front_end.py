"""A front end in Python: it speaks the widgets' protocol as the TypeScript does."""

import asyncio
from collections.abc import Callable
from typing import Any

Picture = dict[str, Any]

_ABOUT_WHAT_IS_SHOWN = ("forget", "export", "disallow", "stop", "retry", "discard")


class FakeComm:
    """The connection of a widget; everything sent goes to all front ends at once."""

    def __init__(self) -> None:
        self.comm_id = "fake-comm"
        self.front_ends: list[FrontEnd] = []
        self.handler: Callable[[Any], None] | None = None
        self.closed = False

    def on_msg(self, handler: Callable[[Any], None]) -> None:
        self.handler = handler

    def send(self, data: Any = None, buffers: Any = None) -> None:
        for front_end in self.front_ends:
            front_end.receive(data)

    def close(self, *_args: Any, **_options: Any) -> None:
        self.closed = True

    def deliver(self, data: Any) -> None:
        assert self.handler is not None
        self.handler({"content": {"data": data}, "buffers": []})


class FrontEnd:
    """One page that shows the widget, from its present state on."""

    def __init__(self, comm: FakeComm, reduce: Callable[[Picture, Any], None]) -> None:
        self.messages: list[Any] = []
        self.picture: Picture = {}
        self.lose = 0
        self._last: Any = None
        self.resyncs = 0
        self._comm = comm
        self._reduce = reduce
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        comm.front_ends.append(self)
        comm.deliver({"method": "request_state"})
        self.say("ping")

    def say(self, kind: str, **content: Any) -> None:
        if kind in _ABOUT_WHAT_IS_SHOWN and "instance_id" in self.picture:
            content = {"instance_id": self.picture["instance_id"], **content}
        self._comm.deliver({"method": "custom", "content": {"type": kind, **content}})

    def receive(self, data: Any) -> None:
        if data["method"] == "update":
            self.picture = data["state"].get("snapshot", self.picture)
        elif data["method"] == "custom":
            self._take(data["content"])
        self._loop.call_soon_threadsafe(self._changed.set)

    def _take(self, message: Any) -> None:
        if message["type"] == "batch" and self.lose:
            self.lose -= 1
            return
        self.messages.append(message)
        if message["type"] == "snapshot":
            self.picture, self._last = message["snapshot"], None
        elif message["type"] == "pong":
            self._compare(message["seq"])
        elif message["type"] == "batch" and message["seq"] > self.picture["seq"]:
            self._compare(message["seq"] - 1)
            if message["seq"] == self.picture["seq"] + 1:
                self._apply(message)

    def _apply(self, batch: Any) -> None:
        if "changes" not in batch and self._last is None:
            self._compare(batch["seq"])  # it does not know where the text belongs
            return
        changes = batch.get("changes") or [{**self._last, "text": batch["text"]}]
        for change in changes:
            self._reduce(self.picture, change)
        self.picture["seq"], self._last = batch["seq"], changes[-1]

    def _compare(self, seq: int) -> None:
        if seq > self.picture["seq"]:
            self.resyncs += 1
            self.say("resync")

    async def until(self, holds: Callable[[Picture], Any]) -> Any:
        """Wait until something holds for the picture; returns what it gave."""
        async with asyncio.timeout(10):
            while not (found := holds(self.picture)):
                self._changed.clear()
                await self._changed.wait()
        return found

    async def heard(self, kind: str) -> Any:
        """Wait for a message of a kind; returns the last one."""

        def last(_picture: Picture) -> Any:
            found = [one for one in self.messages if one["type"] == kind]
            return found[-1] if found else None

        return await self.until(last)


def reduce_chat(picture: Picture, change: Any) -> None:
    if change["op"] == "panel":
        picture.update(change["set"])
        return
    if change["op"] == "turn":
        turns = [one for one in picture["turns"] if one["id"] != change["turn"]["id"]]
        turns.append(change["turn"])
        picture["turns"] = sorted(turns, key=lambda one: one["position"])
        return
    turn = next(one for one in picture["turns"] if one["id"] == change["id"])
    if change["op"] == "patch":
        turn.update(change["set"])
    elif change["op"] == "item":
        turn["items"][change["index"] : change["index"] + 1] = [change["item"]]
    else:
        turn["items"][change["index"]][change["field"]] += change["text"]


def reduce_board(picture: Picture, change: Any) -> None:
    if change["op"] in ("head", "hidden"):
        picture[change["op"]] = change[change["op"]]
        return
    gone = change.get("id") or change["row"]["id"]
    picture["rows"] = [row for row in picture["rows"] if row["id"] != gone]
    if change["op"] == "row":
        picture["rows"].append(change["row"])
        picture["rows"].sort(key=lambda row: (row["type"], row["conversation"]))
