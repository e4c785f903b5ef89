"""What the tests of the SQLite storage run in processes of their own.

`python -m tests.storage.children <what> <file> ...`; each line of output is flushed.
"""

import asyncio
import contextlib
import ctypes
import errno
import itertools
import os
import re
import shutil
import signal
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from agent_runtime_nb.agents.samples import EchoAgent
from agent_runtime_nb.exceptions import AgentRuntimeError, Conflict
from agent_runtime_nb.hosting import Host
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    RequestStatus,
)
from agent_runtime_nb.storage.copy import copy_storage
from agent_runtime_nb.storage.memory import InMemoryStateStorage
from agent_runtime_nb.storage.sqlite import database
from agent_runtime_nb.storage.sqlite.files import OpenFiles
from agent_runtime_nb.storage.sqlite.host_lock import HostLock
from agent_runtime_nb.storage.sqlite.storage import SqliteStateStorage
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    HostInfo,
    TurnEnd,
    TurnRecord,
)

if sys.platform != "win32":
    import resource

COUNTER = ActorId("test", "counter")


def say(line: str) -> None:
    """Write a line at once, before anything else can happen to this process."""
    os.write(1, f"{line}\n".encode())


async def opened(path: str) -> SqliteStateStorage:
    storage = SqliteStateStorage(path, synchronous="NORMAL")
    await storage.open(HostInfo(f"process-{os.getpid()}", f"process {os.getpid()}"))
    return storage


async def take_turns(path: str) -> None:
    """Turns of 16 actors until killed; says each position after its commit."""
    storage = await opened(path)

    async def converse(name: str) -> None:
        actor_id = ActorId("test", name)
        claim = await storage.claim(actor_id)
        epoch, etag, position = claim.epoch, claim.etag, claim.next_position
        count = int(claim.values.get("count", b"0"))
        while True:
            turn = TurnRecord(
                position=position, message_id=f"{name}-{position}", body=b"{}"
            )
            await storage.apply(actor_id, ActorChange(epoch=epoch, accepted=(turn,)))
            say(f"accepted {name} {position}")
            count += 1
            new_etag = f"{name}-{epoch}-{position}"
            end = TurnEnd(
                position=position,
                status=RequestStatus.COMPLETED,
                result=b"%d" % count,
                ended_at=1.0,
                entries=b"[%d]" % position,
            )
            await storage.apply(
                actor_id,
                ActorChange(
                    epoch=epoch,
                    etag=etag,
                    new_etag=new_etag,
                    ended=(end,),
                    set={"count": b"%d" % count},
                ),
            )
            say(f"ended {name} {position}")
            etag, position = new_etag, position + 1

    await asyncio.gather(*(converse(f"a{n}") for n in range(16)))


async def count(path: str, times: str) -> None:
    """Count up by compare and set."""
    storage = await opened(path)
    done = 0
    while done < int(times):
        state = await storage.read_state(COUNTER)
        number = int(state.values.get("n", b"0")) + 1
        try:
            await storage.write_state(
                COUNTER, set={"n": b"%d" % number}, etag=state.etag
            )
        except Conflict:
            continue
        done += 1
    await storage.close()


async def hold(path: str) -> None:
    """Claim the counter and say so, then wait to be killed."""
    storage = await opened(path)
    await storage.claim(COUNTER)
    say("claimed")
    await asyncio.Event().wait()


async def fork(path: str) -> None:
    """Claim the counter, use the storage in a forked child, wait to be killed.

    The child waits for the end of the input.
    """
    storage = await opened(path)
    await storage.claim(COUNTER)
    if os.fork() == 0:
        _use_in_child(storage)
        os.read(0, 1)
        os._exit(0)
    await storage.write_state(COUNTER, set={"n": b"1"})
    say("parent: wrote")
    await asyncio.Event().wait()


async def fork_and_open(path: str) -> None:
    """Open anew, in a forked child, what is open."""
    storage = await opened(path)
    if (child := os.fork()) == 0:
        try:
            asyncio.Runner().run(opened(path))
        except AgentRuntimeError as error:
            say(f"child: {type(error).__name__}: {error}")
        finally:
            os._exit(0)
    await asyncio.to_thread(os.waitpid, child, 0)
    await storage.write_state(COUNTER, set={"n": b"1"})
    say("parent: wrote")
    await storage.close()


def _use_in_child(storage: SqliteStateStorage) -> None:
    async def use() -> None:
        for call in (storage.claim(COUNTER), storage.read_state(COUNTER)):
            try:
                await call
            except AgentRuntimeError as error:
                say(f"child: {type(error).__name__}: {error}")
        await storage.close()

    try:
        asyncio.run(use())
    except BaseException as error:
        say(f"child: {error!r}")


async def die_while_opening(path: str, instruction: str, seconds: str) -> None:
    """Open, counting SQLite's instructions from the first lock for writing on.

    Dies as by SIGKILL at one of them (0: at none), or so many seconds after the begin
    of the first commit (0: not). If it lives: says how many there were.
    """
    done = 0
    connect = database._connect

    def count() -> int:
        nonlocal done
        done += 1
        if done == int(instruction):
            os.kill(os.getpid(), signal.SIGKILL)
        return 0

    def watched(file: Path) -> sqlite3.Connection:
        connection = connect(file)

        def follow(statement: str) -> None:
            if statement == "begin immediate":
                connection.set_progress_handler(count, 1)
            elif statement == "commit" and done:
                # Nobody handles SIGALRM: it ends the process wherever SQLite is.
                signal.setitimer(signal.ITIMER_REAL, float(seconds))

        connection.set_trace_callback(follow)
        return connection

    database._connect = watched
    storage = SqliteStateStorage(path)
    await storage.open(HostInfo("mortal", "mortal"))
    say(str(done))


async def copy(source: str, target: str) -> None:
    """Copy a storage; says how many conversations are done, until killed."""
    await copy_storage(
        SqliteStateStorage(source),
        SqliteStateStorage(target),
        on_progress=lambda done, total: say(f"{done} of {total}"),
    )


async def _open_another(path: str) -> None:
    other = SqliteStateStorage(path)
    await other.open(HostInfo("other", "other"))
    await other.close()


async def _copy_storage(path: str) -> None:
    await copy_storage(SqliteStateStorage(path), InMemoryStateStorage())


def _copy_folder(path: str) -> None:
    folder = Path(path).parent
    shutil.copytree(folder, folder.with_name("copies") / str(time.monotonic_ns()))


def _read_files(path: str) -> None:
    for side in ("", "-wal", "-shm"):
        Path(path + side).read_bytes()


def _look_by_sqlite(path: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute("select count(*) from value").fetchone()
    connection.close()


def _look_by_second_library(path: str) -> None:
    """As by a package with a SQLite of its own: neither sees the other's locks."""
    loaded = re.search(r"/\S*libsqlite3\S*", Path("/proc/self/maps").read_text())
    if loaded is None:
        return  # it is in the interpreter, and there is no second one
    with tempfile.TemporaryDirectory() as folder:
        other = ctypes.CDLL(shutil.copy(loaded[0], f"{folder}/other.so"))
        handle = ctypes.c_void_p()
        select = b"select count(*) from value"
        assert other.sqlite3_open(path.encode(), ctypes.byref(handle)) == 0
        assert other.sqlite3_exec(handle, select, None, None, None) == 0
        assert other.sqlite3_close(handle) == 0


def _look_in_fork(path: str) -> None:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            _look_by_sqlite(path)
            _read_files(path)
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0


ACTS: dict[str, Callable[[str], object]] = {
    "second_storage": lambda path: asyncio.run(_open_another(path)),
    "copy_storage": lambda path: asyncio.run(_copy_storage(path)),
    "shutil.copy": lambda path: shutil.copy(path, f"{path}.copy"),
    "copytree": _copy_folder,
    "read_bytes": _read_files,
    "sqlite3": _look_by_sqlite,
    "second_library": _look_by_second_library,
    "fork": _look_in_fork,
}
"""What else a process may do with the files that it has open."""


async def acknowledge(path: str, act: str) -> None:
    """Write, do one of ACTS (or nothing), and wait for a line.

    Then write 20 keys, and say of each that it is written, or how that failed.
    """
    storage = await opened(path)
    actor_id = ActorId("echo", "c1")
    etag = await storage.write_state(actor_id, set={"before": b"0"})
    if act in ACTS:
        await asyncio.to_thread(ACTS[act], path)
    say("did it")
    sys.stdin.readline()
    for n in range(20):
        try:
            etag = await storage.write_state(actor_id, set={f"k{n}": b"0"}, etag=etag)
        except AgentRuntimeError as error:
            say(type(error).__name__)
        else:
            say(f"k{n}")
    await asyncio.Event().wait()


async def acknowledge_for_ever(path: str, act: str) -> None:
    """Say each key once written, and do one of ACTS (or nothing) all the time beside."""
    storage = SqliteStateStorage(path)  # at a real commit's pace
    await storage.open(HostInfo(f"process-{os.getpid()}", ""))
    actor_id, etag = ActorId("echo", str(os.getpid())), None

    def act_for_ever() -> None:
        while True:
            with contextlib.suppress(
                OSError, shutil.Error
            ):  # a file that comes and goes
                ACTS[act](path)

    if act in ACTS:
        threading.Thread(target=act_for_ever, daemon=True).start()
    for n in itertools.count():
        etag = await storage.write_state(
            actor_id, set={f"k{n}": b"0" * 2000}, etag=etag
        )
        say(f"k{n}")


async def live(path: str) -> None:
    """Do what a process does with a storage; says what was opened of its files."""
    sides = ("", "-wal", "-shm", "-journal")
    names = {name + side for name in (path, f"{path}.copy") for side in sides}

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and str(arguments[0]) in names:
            say(f"opened {arguments[0]}")

    sys.addaudithook(watch)
    for _ in range(2):  # a new file, and one that is there
        async with Host({"echo": EchoAgent()}, storage=path) as host:
            params = {"messages": [{"role": "user", "content": "hello"}]}
            actor_id = ActorId("echo", "c1")
            await (
                await host.client.send_request(actor_id, "run", params)
            ).get_response()
            await host.runtime.list_conversations()
            assert (await host.runtime.health()).status == "ok"
            await _open_another(path)
    await copy_storage(SqliteStateStorage(path), SqliteStateStorage(f"{path}.copy"))
    say("lived")
    os.close(os.open(path, os.O_RDONLY))


async def lock_without_descriptors(path: str) -> None:
    """Lock the files, then the folder, with no descriptor left; says how that fails."""
    storage = await opened(path)
    folder = Path(path).with_name("hosts")
    lock = HostLock(folder, "warm")  # what Python loads on first use is loaded
    free = os.dup(0)
    for what, lock_it in (
        ("OpenFiles", lambda: OpenFiles(Path(path), wal=True)),
        ("HostLock", lambda: HostLock(folder, "other")),
    ):
        # A lock of a host needs two, and one is had.
        if what == "HostLock":
            os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free + (what == "HostLock"), 1024))
        try:
            lock_it()
        except OSError as error:
            say(f"{what}: {errno.errorcode[error.errno or 0]}")
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
    lock.release()
    await storage.close()


async def open_only(path: str) -> None:
    """Open, and say how that went."""
    try:
        storage = await opened(path)
    except AgentRuntimeError as error:
        say(type(error).__name__)
    else:
        say("opened")
        await storage.close()


async def open_as_nobody(path: str) -> None:
    """As `open_only`, as a user who owns nothing."""
    await _become_nobody()
    await open_only(path)


async def open_without_rights() -> None:
    """Open a file, and a file in a folder, that may be read and not written."""
    if os.geteuid() == 0:
        await _become_nobody()
    with tempfile.TemporaryDirectory() as own:
        for what, mode in (("file", 0o400), ("folder", 0o500)):
            folder = Path(own, what)
            await (await opened(f"{folder}/state.db")).close()
            place = folder / "state.db" if what == "file" else folder
            place.chmod(mode)
            say(f"{what}:")
            await open_only(f"{folder}/state.db")
            place.chmod(0o700)


async def _become_nobody() -> None:
    # What Python loads on first use is loaded now: that user may not be able to read
    # where this Python is installed.
    with tempfile.TemporaryDirectory() as own:
        await (await opened(f"{own}/state.db")).close()
    os.setgid(65534)
    os.setuid(65534)


WHAT: dict[str, Callable[..., Coroutine[Any, Any, None]]] = {
    one.__name__: one
    for one in (
        *(take_turns, count, hold, fork, copy, acknowledge),
        *(acknowledge_for_ever, live, lock_without_descriptors, fork_and_open),
        *(die_while_opening, open_as_nobody, open_without_rights),
    )
}

if __name__ == "__main__":
    asyncio.run(WHAT[sys.argv[1]](*sys.argv[2:]))
