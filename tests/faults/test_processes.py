"""Faults of whole processes: F18, F20, F24, F29, F31 and F32 of docs/faults.md."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from agent_runtime_nb.exceptions import ActorOwnedElsewhere
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.storage.sqlite.storage import SqliteStateStorage
from agent_runtime_nb.testing.leaks import no_leaks
from tests.fakes import HandlingActor, ask, count
from tests.faults.conftest import Child

pytestmark = [
    pytest.mark.kill,
    pytest.mark.skipif(sys.platform == "win32", reason="there are no POSIX signals"),
    pytest.mark.timeout(120),
]

TOKEN = "of-this-test"  # noqa: S105 - of a server that ends with the test
REQUEST = (
    "GET /agents HTTP/1.1\r\nHost: {host}:{port}\r\n"
    "Authorization: Bearer {token}\r\nConnection: close\r\n\r\n"
)


def lines_of(process: "subprocess.Popen[str]") -> list[str]:
    """All that it says until it ends."""
    out, _ = process.communicate(timeout=60)
    return out.splitlines()


def say(process: "subprocess.Popen[str]", line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def hear(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_message_that_kills_its_process_three_times_is_a_dead_letter_and_the_next_runs(
    tmp_path: Path, child: Child
) -> None:
    """F18."""
    path = tmp_path / "state.db"

    for step in ("begin", "again", "again"):
        killed = child("poison", path, step)
        assert lines_of(killed) == ["others answered"]
        assert killed.returncode == -signal.SIGKILL
    last = child("poison", path, "last")
    said = lines_of(last)

    assert last.returncode == 0
    assert said[0] == "others answered"
    assert "FAILED" in said[1]
    assert "DeadLetter" in said[1]
    assert said[2:] == [
        "next: (<RequestStatus.COMPLETED: 'completed'>, 'next')",
        "dead letters: ['m-poison']",
        "again: (<RequestStatus.COMPLETED: 'completed'>, 'poison')",
        "done",
    ]


@pytest.mark.parametrize("asleep", [False, True], ids=["F24", "F20"])
def test_the_second_host_sees_who_owns_it_takes_over_and_the_first_says_so(
    tmp_path: Path, child: Child, *, asleep: bool
) -> None:
    """F24: two kernels on one file. F20: the first one was suspended meanwhile."""
    path = tmp_path / "state.db"
    first = child("owner", path)
    assert hear(first) == "running"

    async def take_over() -> object:
        second = InProcessActorRuntime(SqliteStateStorage(path), host_name="the second")
        second.register_actor_type("worker", lambda _: HandlingActor(count))
        async with no_leaks():
            await second.start()
            with pytest.raises(ActorOwnedElsewhere, match="the first"):
                await ask(second)
            second.take_over = True
            answer = (await ask(second)).data
            if asleep:
                first.send_signal(signal.SIGCONT)
            say(first, "go on")
            said.extend([hear(first), hear(first)])
            await second.stop(drain=0)
        return answer

    said: list[str] = []
    if asleep:
        first.send_signal(signal.SIGSTOP)
    answer = asyncio.run(take_over())
    say(first, "alone again")

    assert answer == 1  # what the first had staged is not there
    assert "StaleEpoch" in said[0]
    assert "the second" in said[0]
    assert said[1].startswith("ActorOwnedElsewhere: ")
    assert lines_of(first) == ["done"]
    assert first.returncode == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork")
@pytest.mark.parametrize("where", ["loop", "thread"])
def test_a_forked_child_is_refused_at_once_and_its_parent_goes_on(
    tmp_path: Path, child: Child, where: str
) -> None:
    """F29."""
    process = child("forked", tmp_path / "state.db", where)

    said = lines_of(process)

    assert said == [
        "child: send_request: NotRunning",
        "child: get_response: NotRunning",
        "child: cancel: NotRunning",
        "child: health: NotRunning",
        "child: stop: NotRunning",
        "child: start: NotRunning",
        "exit: 0",
        "parent: held",
        "done",
    ]
    assert process.returncode == 0


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")
def test_a_turn_without_memory_fails_alone(tmp_path: Path, child: Child) -> None:
    """F31: RLIMIT_AS."""
    process = child("memory", tmp_path / "state.db")

    assert lines_of(process) == ["failed: MemoryError", "done"]
    assert process.returncode == 0


def test_a_process_without_file_descriptors_answers_and_recovers(
    tmp_path: Path, child: Child
) -> None:
    """F32: RLIMIT_NOFILE."""
    process = child("files", tmp_path / "state.db")

    assert lines_of(process) == [
        "failed: OSError",
        "other actor: kept",
        "another host: Unavailable",
        "another host: started",
        "done",
    ]
    assert process.returncode == 0


def test_a_server_without_file_descriptors_pauses_and_serves_who_came_meanwhile(
    tmp_path: Path, child: Child
) -> None:
    """F32: connections are not accepted for a while, and none of them is lost."""
    process = child(tmp_path / "state.db", TOKEN, module="serving_child")
    address = hear(process)
    host, port = address.removeprefix("http://").split(":")
    say(process, "take all")
    assert hear(process) == "taken"

    with socket.create_connection((host, int(port)), timeout=30) as visitor:
        visitor.sendall(REQUEST.format(host=host, port=port, token=TOKEN).encode())
        assert hear(process) == "paused"
        assert hear(process) == "others answered"
        say(process, "free")
        answer = visitor.makefile().read()

    assert answer.startswith("HTTP/1.1 200 ")
    assert lines_of(process) == ["done"]
    assert process.returncode == 0
