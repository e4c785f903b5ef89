"""`PostgresStateStorage`: a PostgreSQL database, for any number of hosts.

storage.py      `PostgresStateStorage`
target.py       which server, database and schema a URL means
schema.py       the tables, made and migrated under an advisory lock
server.py       connections: one writes, a few read, none keeps anything
group.py        whatever waits, in one transaction
plan.py         what the steps of a group come to
statements.py   the SQL of a group
reads.py        the SQL of what is only read
host.py         the lease of this host
session.py      what exists while the storage is open
errors.py       what foreign errors mean
driver.py       asyncpg, with types; imported here alone

A thread with a loop of its own holds the connections, so the storage may be called
from any loop, and a loop that is blocked keeps nobody else from being served.
"""

from agent_runtime_nb.storage.postgres.storage import PostgresStateStorage

__all__ = ["PostgresStateStorage"]
