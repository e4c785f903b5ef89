"""`SqliteStateStorage`: one file, any number of hosts of one machine beside it.

One thread writes, in groups (see `group`), one reads; the event loop never touches
the file. A host's life is an operating system lock (see `host_lock`).
"""

from agent_runtime_nb.storage.sqlite.storage import SqliteStateStorage

__all__ = ["SqliteStateStorage"]
