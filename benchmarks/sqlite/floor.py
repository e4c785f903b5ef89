"""One upsert per turn, in plain sqlite3, on the calling thread."""

import json
import sqlite3
import time

from benchmarks.measure import Figures, amount, database_path
from benchmarks.sqlite.work import CONVERSATIONS, PARAMS

_SCHEMA = """create table turn(
    conversation integer, position integer, body blob, result blob, accepted_at real,
    ended_at real, primary key (conversation, position)) without rowid"""
_UPSERT = """insert into turn values (?, ?, ?, ?, ?, ?)
    on conflict do update set result = excluded.result, ended_at = excluded.ended_at"""


def _measured(synchronous: str, turns: int, per_commit: int) -> Figures:
    body = json.dumps({"method": "run", "params": PARAMS}).encode()
    result = json.dumps(PARAMS).encode()
    with database_path() as path:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("pragma journal_mode=wal")
        connection.execute(f"pragma synchronous={synchronous}")
        connection.execute(_SCHEMA)
        started, cpu = time.perf_counter(), time.process_time()
        for first in range(0, turns, per_commit):
            connection.execute("begin immediate")
            for number in range(first, first + per_commit):
                position, conversation = divmod(number, CONVERSATIONS)
                now = time.time()
                row = (conversation, position, body, result, now, now)
                connection.execute(_UPSERT, row)
            connection.execute("commit")
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        connection.close()
    done = -(-turns // per_commit) * per_commit
    return {"turns_per_s": done / seconds, "cpu_us": cpu / done * 1e6}


def grouped_normal(scale: float) -> Figures:
    """Every commit holds a turn of each conversation."""
    return _measured("NORMAL", amount(20_000, scale), CONVERSATIONS)


def grouped_full(scale: float) -> Figures:
    """Every commit holds a turn of each conversation, and is on the disk."""
    return _measured("FULL", amount(20_000, scale), CONVERSATIONS)


def single_normal(scale: float) -> Figures:
    """Every commit holds one turn."""
    return _measured("NORMAL", amount(4_000, scale), 1)


def single_full(scale: float) -> Figures:
    """Every commit holds one turn, and is on the disk."""
    return _measured("FULL", amount(1_000, scale), 1)
