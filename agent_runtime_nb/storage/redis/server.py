"""The checks when a storage is opened, and the lease of its host."""

import logging
from dataclasses import dataclass
from typing import Any

from agent_runtime_nb.exceptions import (
    Corrupt,
    SchemaTooNew,
    Unavailable,
)
from agent_runtime_nb.storage.redis.cluster import connect
from agent_runtime_nb.storage.redis.keys import Keys
from agent_runtime_nb.storage.redis.link import Endpoint, RedisClient
from agent_runtime_nb.storage_abstractions import (
    HostInfo,
)

SCHEMA = 1
"""The version that this code writes and reads."""

_log = logging.getLogger(__name__)


def check_schema(link: RedisClient, keys: Keys, where: str) -> None:
    """Write the schema's version if there is none.

    Raises:
        SchemaTooNew: it is newer than we; nothing was written.
        Corrupt: it is no version.
    """
    found = link.ask("GET", keys.schema)
    if found is None:
        link.ask("SET", keys.schema, SCHEMA, "NX")
        found = link.ask("GET", keys.schema)
    text = (found or b"").decode(errors="replace")
    if not text.isdecimal():
        raise Corrupt(where, f"its schema version is {text!r}")
    if int(text) > SCHEMA:
        raise SchemaTooNew(where, int(text), SCHEMA)


def check_persistence(link: RedisClient, where: str) -> bool:
    """Whether writes survive the server; warns, with the way out, if they may not."""
    persistence = [_facts(one) for one in link.everywhere("INFO", "persistence")]
    memory = [_facts(one) for one in link.everywhere("INFO", "memory")]
    policies = {
        facts["maxmemory_policy"]
        for facts in memory
        if facts.get("maxmemory", "0") != "0"
        and facts.get("maxmemory_policy", "").startswith("allkeys")
    }
    if policies:
        _log.warning(
            "the storage %s throws conversations away when it is full "
            "(maxmemory-policy %s): set maxmemory-policy noeviction",
            where,
            ", ".join(sorted(policies)),
        )
    durable = all(facts.get("aof_enabled") == "1" for facts in persistence)
    if not durable:
        _log.warning(
            "the storage %s may lose conversations when its server stops, since it "
            "writes no log: set appendonly yes, and appendfsync always to lose nothing",
            where,
        )
    return durable


def _facts(answer: Any) -> dict[str, str]:
    lines = answer.decode(errors="replace").splitlines()
    pairs = (line.partition(":") for line in lines)
    return {name: value for name, colon, value in pairs if colon}


@dataclass(slots=True)
class RedisHostLease:
    """The key that says that a host is alive; it vanishes by itself.

    Made for a `LeaseRenewer`, whose thread it blocks and nobody else's.

    Args:
        endpoint: where it connects, on its own.
        key: of this host.
        host: who is alive.
        token: of the storage object; another one may not be this host at once.
        ttl: in seconds.
    """

    endpoint: Endpoint
    key: bytes
    host: HostInfo
    token: str
    ttl: float
    _link: RedisClient | None = None

    async def renew(self) -> None:
        """Be alive for `ttl` seconds from now.

        Raises:
            Unavailable: also if this host is open already, elsewhere.
        """
        milliseconds = round(self.ttl * 1000)
        if self._link is None:
            self._link = connect(self.endpoint)
            self._acquire(self._link, milliseconds)
        # Not SET: this one needs no memory, so a full server does not end the lease.
        elif not self._link.ask("PEXPIRE", self.key, milliseconds):
            self._link.ask("SET", self.key, self._value, "PX", milliseconds)

    async def release(self) -> None:
        """Be dead."""
        if self._link is not None:
            self._link.ask("DEL", self.key)
            self._link.close()

    @property
    def _value(self) -> str:
        return f"{self.token} {self.host.name}"

    def _acquire(self, link: RedisClient, milliseconds: int) -> None:
        taken = link.ask("SET", self.key, self._value, "NX", "PX", milliseconds)
        if taken is None and link.ask("GET", self.key) != self._value.encode():
            link.close()
            raise Unavailable(self.endpoint.location, "this host is already open")
