"""Write the fixtures of a version: `python -m tests.upgrades.make_fixtures 0.2.0`.

See README.md beside this file for when. It never writes over what is there.
"""

import argparse
import asyncio
import contextlib
import json
import tempfile
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from agent_runtime_nb.conversations.export import to_markdown, to_notebook
from agent_runtime_nb.conversations.json_format import to_json
from agent_runtime_nb.conversations.reading import Conversation, read_conversation
from agent_runtime_nb.storage_abstractions import HostInfo
from tests.servers.cosmos_server import CosmosServer
from tests.servers.postgres_server import running_server
from tests.servers.redis_server import RedisServer, find_program
from tests.upgrades import story
from tests.upgrades.actors import Gate, runtime_on
from tests.upgrades.databases import (
    CosmosDatabase,
    Database,
    PostgresDatabase,
    RedisDatabase,
    SqliteDatabase,
)

FOLDER = Path(__file__).parent
EXPORTED = {
    "talk": story.TALK,
    "fork": story.FORK,
    "pending": story.PENDING,
    "mock": story.MOCK,
}
SESSION = "session"
"""The state key of a session's snapshot."""


@contextlib.contextmanager
def all_backends() -> Generator[list[Callable[[], Database]]]:
    """What makes an empty database, for each backend; the servers run meanwhile."""
    program = find_program()
    if program is None:
        raise SystemExit("there is no redis-server")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        postgres = stack.enter_context(running_server())
        redis = stack.enter_context(RedisServer(program))
        cosmos = stack.enter_context(CosmosServer())
        yield [
            lambda: SqliteDatabase(folder),
            lambda: PostgresDatabase(postgres),
            lambda: RedisDatabase(redis),
            lambda: CosmosDatabase(cosmos),
        ]


def write_json(path: Path, data: Any) -> None:
    """Write it so that people can read it and compare it."""
    text = json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def write_exports(folder: Path, name: str, conversation: Conversation) -> None:
    """A conversation in all forms in which it can be exported."""
    write_json(folder / f"{name}.json", to_json(conversation))
    write_json(folder / f"{name}.ipynb", to_notebook(conversation))
    markdown = to_markdown(conversation)
    (folder / f"{name}.md").write_text(markdown, encoding="utf-8")


async def write_files(database: Database, folder: Path) -> None:
    """Exports and session snapshots of what is stored at a database."""
    storage = database.storage()
    runtime, _ = runtime_on(storage, Gate(is_open=True), host="the third host")
    await runtime.start()
    try:
        for name, actor_id in EXPORTED.items():
            write_exports(folder, name, await read_conversation(runtime, actor_id))
    finally:
        await runtime.stop()
    await storage.open(HostInfo("reader", "reader"))
    for name, actor_id in EXPORTED.items():
        state = await storage.read_state(actor_id, [SESSION])
        snapshot = json.loads(state.values[SESSION])
        write_json(folder / f"{name}.session.json", snapshot)
    await storage.close()


async def make(version: str) -> None:
    """Write all of a version."""
    folder = FOLDER / version
    folder.mkdir()  # one that exists is never written again
    began, found = time.time(), list[dict[str, Any]]()
    with all_backends() as backends:
        for new_place in backends:
            expected, dumped = await story.tell_story(new_place(), new_place())
            (folder / new_place().file_name).write_bytes(dumped)
            found.append(expected)
        if any(one != found[0] for one in found):
            raise AssertionError("the backends do not tell the same story")
        sqlite = backends[0]()
        await sqlite.load((folder / sqlite.file_name).read_bytes())
        (folder / "exports").mkdir()
        await write_files(sqlite, folder / "exports")
    made = {"after": began, "before": time.time()}
    write_json(folder / "expected.json", {"made": made, **found[0]})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("version", help="the name of the new folder: the version")
    asyncio.run(make(parser.parse_args().version))
