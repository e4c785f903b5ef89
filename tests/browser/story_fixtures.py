"""Makes the story book's fixtures: what the kernel really sends, from the scripted model.

    python -m tests.browser.story_fixtures [SCENE…]     writes widgets/story/kernel.json

Each scene plays a conversation with a real agent on a real runtime and keeps the
picture that the panel's front end has at its end, and the last direct answer of each
kind. Ids that are made at random are numbered, and times are put at fixed distances
from now, so that the same kernel always gives the same file; a test compares.
"""

import asyncio
import json
import re
import sys
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias, cast

from agent_runtime_nb._base.untrusted_json import as_list, as_object
from agent_runtime_nb.agents.actor import AgentActor
from agent_runtime_nb.agents.samples import scripted_agent
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.storage.memory import InMemoryStateStorage
from tests.browser.story_agent import AGENT, TOOLS, script, stand_still
from tests.browser.story_scenes import SCENES, Scene
from tests.widgets.front_end import FrontEnd
from tests.widgets.panels import Panels, look

FIXTURES = Path(__file__).parents[2] / "widgets" / "story" / "kernel.json"
COMMAND = "python -m tests.browser.story_fixtures"

Json: TypeAlias = Any

_RANDOM_ID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}")
_ANSWERS = ("conversations", "page", "export")


class Stage:
    """A kernel with the scripted agent, which can be restarted, and its panels."""

    def __init__(self) -> None:
        self._storage = InMemoryStateStorage()
        self._runtime: InProcessActorRuntime | None = None
        self._panels: list[Panels] = []
        self.pages: list[FrontEnd] = []

    async def start(self) -> None:
        """Start a runtime on what the one before has left behind."""
        runtime = InProcessActorRuntime(self._storage)
        agent = scripted_agent(script, sleep=stand_still, tools=TOOLS)
        runtime.register_actor_type(AGENT, lambda _: AgentActor(agent))
        await runtime.start()
        self._runtime = runtime
        self._panels.append(Panels(InProcessActorClient(runtime), runtime))

    async def open(self, conversation: str, **options: Any) -> FrontEnd:
        """A new panel with a front end."""
        panel = self._panels[-1].panel(f"{AGENT}/{conversation}", **options)
        page = await look(panel)
        self.pages.append(page)
        return page

    @property
    def runtime(self) -> InProcessActorRuntime:
        """The one that runs now."""
        assert self._runtime is not None
        return self._runtime

    async def stop(self) -> None:
        """End the runtime as a kernel's end does: what runs is left behind."""
        await self.runtime.stop(drain=0)

    def close(self) -> None:
        """Close all panels."""
        for panels in self._panels:
            for panel in panels.made:
                panel.close()


@asynccontextmanager
async def _stage() -> AsyncGenerator[Stage]:
    stage = Stage()
    await stage.start()
    try:
        yield stage
    finally:
        stage.close()
        await stage.stop()


async def play(scene: Scene) -> Json:
    """Play a scene; `{"picture": ..., and direct answers by their type}`."""
    async with _stage() as stage:
        page = await scene(stage)
        answers = {one["type"]: one for one in page.messages if one["type"] in _ANSWERS}
        # A copy: closing the stage changes the picture.
        made = json.loads(json.dumps({"picture": page.picture, **answers}))
    return Steady().steady(made)


class Steady:
    """Puts what differs between two runs of one scene at fixed values."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}
        self._at: Mapping[str, Callable[[Any], Any]] = {
            "seq": lambda _: 1,
            "now": lambda _: 0,
            "started_at": lambda _: -4.0,
            "ended_at": lambda _: -1.0,
            "duration": lambda _: 2.4,
        }

    def steady(self, value: Json) -> Json:
        """The same JSON; times are seconds from now."""
        if isinstance(value, str):
            return _RANDOM_ID.sub(self._number, value)
        if isinstance(value, list):
            return [self.steady(one) for one in as_list(cast("Json", value))]
        if isinstance(value, dict):
            pairs = as_object(cast("Json", value)).items()
            return {key: self._pair(key, one) for key, one in pairs}
        return value

    def _pair(self, key: str, value: Json) -> Json:
        is_time = isinstance(value, int | float) and not isinstance(value, bool)
        return (
            self._at[key](value) if is_time and key in self._at else self.steady(value)
        )

    def _number(self, found: re.Match[str]) -> str:
        return self._ids.setdefault(found[0], f"id-{len(self._ids) + 1}")


async def play_all(names: Iterable[str] = SCENES) -> dict[str, Json]:
    """What each scene ends with, by its name."""
    return {name: await play(SCENES[name]) for name in names}


def as_text(fixtures: Mapping[str, Json]) -> str:
    """What stands in the file."""
    return json.dumps(fixtures, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def main(names: list[str]) -> None:
    """Record these scenes anew, or all."""
    kept: dict[str, Json] = {}
    if names:
        kept = json.loads(FIXTURES.read_text(encoding="utf-8"))
    made = asyncio.run(play_all(names or SCENES))
    FIXTURES.write_text(as_text({**kept, **made}), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
