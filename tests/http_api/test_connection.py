"""What an answer costs on the line: how it is written."""

import asyncio
from asyncio import Transport

from agent_runtime_nb.http_api.connection import PairedWrites


class _Line(Transport):
    """A transport that remembers."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.ends: list[str] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def is_closing(self) -> bool:
        return bool(self.ends)

    def close(self) -> None:
        self.ends.append("closed")

    def abort(self) -> None:
        self.ends.append("aborted")


def _paired() -> tuple[PairedWrites, _Line]:
    line = _Line()
    return PairedWrites(line, asyncio.get_running_loop()), line


async def test_a_head_and_its_body_go_out_as_one() -> None:
    paired, line = _paired()

    paired.write(b"head ")
    paired.write(b"body")

    assert line.writes == [b"head body"]


async def test_a_head_without_a_body_yet_goes_out_in_the_next_turn_of_the_loop() -> (
    None
):
    paired, line = _paired()

    paired.write(b"head")
    kept = list(line.writes)
    await asyncio.sleep(0)

    assert kept == []
    assert line.writes == [b"head"]


async def test_of_many_writes_in_one_turn_no_more_than_one_is_kept() -> None:
    paired, line = _paired()

    for number in range(7):
        paired.write(b"%d" % number)

    assert line.writes == [b"01", b"23", b"45"]
    await asyncio.sleep(0)
    assert line.writes == [b"01", b"23", b"45", b"6"]


async def test_what_is_kept_goes_out_before_the_line_is_closed() -> None:
    paired, line = _paired()

    paired.write(b"the end")
    paired.close()

    assert line.writes == [b"the end"]
    assert paired.is_closing()


async def test_a_line_that_is_cut_sends_nothing_any_more() -> None:
    paired, line = _paired()

    paired.write(b"lost")
    paired.abort()
    await asyncio.sleep(0)

    assert line.ends == ["aborted"]
    assert line.writes == []
