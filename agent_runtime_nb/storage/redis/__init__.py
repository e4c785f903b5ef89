"""`RedisStateStorage`: a Redis server or cluster, any number of hosts beside it.

storage.py   `RedisStateStorage`
group.py     the writer's thread: whatever waits, in few round trips
steps.py     what each step sends, and what its answer means
scripts.py   a Lua script for each verb, which Redis runs whole and alone
reads.py     what is only read, on the reader's thread
index.py     how actors are found
keys.py      the names of everything in Redis
link.py      one connection: groups of commands, nothing sent twice
cluster.py   several servers as one
server.py    the checks at the opening, and the lease of this host

One thread writes, one reads, one renews the host's lease; each has a connection of its
own, and no event loop ever waits for the server. (extra: redis)
"""

from agent_runtime_nb.storage.redis.storage import RedisStateStorage

__all__ = ["RedisStateStorage"]
