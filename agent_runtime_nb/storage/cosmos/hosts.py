"""Which hosts live: a document each, written again and again.

What counts is the service's clock alone: it stamps the document when it is written, and
says what time it is in every answer. The clock of a host may be wrong.
"""

import time
from dataclasses import replace
from email.utils import parsedate_to_datetime

from agent_runtime_nb.storage.cosmos.documents import HOSTS, Document, digest
from agent_runtime_nb.storage.cosmos.service import Account, Service, Stored
from agent_runtime_nb.storage_abstractions import HostInfo

_FORGET_AFTER = 7 * 24 * 3600  # seconds; the service then removes the document


class CosmosHostLease:
    """This host's own document; for a `LeaseRenewer`, on whose loop it connects."""

    def __init__(self, account: Account, host: HostInfo, seconds: float) -> None:
        self._service = Service(replace(account, create=False))  # it is there
        self._connected = False
        self._host = host
        self._seconds = seconds

    async def renew(self) -> None:
        """Be alive from now on."""
        if not self._connected:
            await self._service.connect()
        try:
            await self._service.upsert(host_document(self._host, self._seconds))
        except BaseException:
            if not self._connected:  # nobody will call release()
                await self._service.close()
            raise
        self._connected = True

    async def release(self) -> None:
        """Be dead, and disconnect."""
        try:
            await self._service.upsert(host_document(self._host, 0.0))
        finally:
            await self._service.close()


async def is_alive(service: Service, host_id: str) -> bool:
    """Whether a host's document is young enough."""
    stored = await service.read(HOSTS, digest(host_id))
    return stored is not None and _age(stored) < stored.document["lease"]


def host_document(host: HostInfo, seconds: float) -> Document:
    """A host that lives for some seconds from when it is written."""
    return {
        "id": digest(host.host_id),
        "pk": HOSTS,
        "kind": "host",
        "host_id": host.host_id,
        "name": host.name,
        "lease": seconds,
        "ttl": _FORGET_AFTER,
    }


def _age(stored: Stored) -> float:
    """Seconds; both clocks tell whole ones, so it may be one too many."""
    date = stored.headers.get("date")
    now = parsedate_to_datetime(date).timestamp() if date else time.time()
    return now - stored.document["_ts"]
