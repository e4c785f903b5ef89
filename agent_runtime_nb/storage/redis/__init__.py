"""`RedisStateStorage`: a Redis server or cluster, any number of hosts beside it.

One thread writes, in groups (see `group`), one reads, one keeps the host's lease; each
has a connection of its own, and no event loop ever waits for the server. Every verb is
one Lua script (see `scripts`), which Redis runs whole and alone. How actors are found
is told in `index`. (extra: redis)
"""

from agent_runtime_nb.storage.redis.storage import RedisStateStorage

__all__ = ["RedisStateStorage"]
