"""`SqliteStateStorage`: one file, any number of hosts of one machine beside it.

storage.py     `SqliteStateStorage`
writer.py      the writer's thread: groups of steps, whole or not at all
group.py       one group of steps in one transaction
changes.py     what a group changes in the tables
statements.py  the SQL of a group
reads.py       what is only read, on the reader's thread
schema.py      the tables, made and migrated
database.py    the file: making, opening and checking it; its errors
files.py       the locks of an open file, and noticing that it was replaced
host_lock.py   a host's life: an operating system lock

One thread writes, one reads; the event loop never touches the file.
"""

from agent_runtime_nb.storage.sqlite.storage import SqliteStateStorage

__all__ = ["SqliteStateStorage"]
