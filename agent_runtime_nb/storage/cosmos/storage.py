"""The storage: what a caller sees of the other modules of this folder."""

import base64
import binascii
import os
from asyncio import Future
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from agent_runtime_nb._base.extras import load
from agent_runtime_nb._base.loop_thread import LoopThread
from agent_runtime_nb._base.tasks import failed
from agent_runtime_nb.exceptions import (
    AgentRuntimeError,
    Corrupt,
    InvalidRequest,
    SchemaTooNew,
    StorageClosed,
    TooLarge,
    Unavailable,
)
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    Encoded,
    Page,
)
from agent_runtime_nb.storage.cosmos.documents import ABOUT, ROOT_ID, SCHEMA
from agent_runtime_nb.storage.cosmos.hosts import CosmosHostLease
from agent_runtime_nb.storage.cosmos.queues import CosmosStep, StepQueues
from agent_runtime_nb.storage.cosmos.reads import (
    find_turn,
    list_actors,
    list_keys,
    read_states,
    read_turns,
)
from agent_runtime_nb.storage.cosmos.service import Account, Service
from agent_runtime_nb.storage.cosmos.url import KEY_VARIABLES, find_location
from agent_runtime_nb.storage.cosmos.writer import CosmosWriter
from agent_runtime_nb.storage.lease import LeaseRenewer
from agent_runtime_nb.storage.value_sizes import check_sizes, check_values
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    ActorState,
    Claim,
    HostInfo,
    IActorStateStorage,
    TurnRecord,
)

T = TypeVar("T")

MAX_VALUE = 1_900_000
"""Bytes of the largest value: a document may have 2 MB, and quotes count twice."""

_CLOSE_WITHIN = 10.0  # seconds beyond the timeout of a step


@dataclass(frozen=True, slots=True)
class _CosmosSession:
    """What exists while the storage is open."""

    host: HostInfo
    process: int
    thread: LoopThread
    service: Service
    renewer: LeaseRenewer
    queues: StepQueues


class CosmosStateStorage(IActorStateStorage):
    """Keeps everything in one container of an Azure Cosmos DB account (NoSQL API).

    Experimental: tested against an emulator. A value may have 1.9 MB, and a change,
    with all its values and turns, 2 MB and 100 documents (TooLarge).

    Args:
        endpoint: URL of the account, `https://ACCOUNT.documents.azure.com`, or all in
            one, `cosmos://ACCOUNT.documents.azure.com/DATABASE/CONTAINER`, where the
            key may stand as a password: `cosmos://:KEY@ACCOUNT...`.
        database: its name.
        container: its name; its partition key must be `/pk`.
        key: the account's key. Of a cosmos:// URL without one, it is what COSMOS_KEY
            or AZURE_COSMOS_KEY says.
        credential: instead of a key, what makes an asynchronous credential of
            azure-identity: such a class, or a function; it is called for each of two
            connections. Neither: DefaultAzureCredential.
        create: make the database and the container if they are missing.
        lease: seconds after which a host that does not answer counts as dead.
        timeout: seconds after which a step gives up.
        environ: where to look for the key.

    Raises:
        InvalidRequest: if the URL or the key has another form.
        MissingExtra: if there is no key and azure-identity is not installed.
    """

    largest_value = MAX_VALUE
    """Bytes of the largest value."""

    def __init__(
        self,
        endpoint: str,
        *,
        database: str | None = None,
        container: str | None = None,
        key: str | None = None,
        credential: Callable[[], Any] | None = None,
        create: bool = True,
        lease: float = 30.0,
        timeout: float = 20.0,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        location = find_location(endpoint, database, container, environ)
        self._account = Account(
            endpoint=location.endpoint,
            database=location.database,
            container=location.container,
            credential=credential or _credential(key or location.key),
            timeout=timeout,
            create=create,
        )
        self._lease = lease
        self._session: _CosmosSession | None = None

    @property
    def location(self) -> str:
        """The container's URL, without secrets."""
        return self._account.location

    @property
    def durable(self) -> bool:
        """True."""
        return True

    async def open(self, host: HostInfo) -> None:
        """See `IActorStateStorage.open`.

        Raises:
            Unavailable: the account, database or container cannot be reached, entered
                or made.
        """
        session = self._session
        if session is not None and session.process == os.getpid():
            if session.host == host:
                return
            raise Unavailable(self.location, f"it is open for {session.host.name}")
        thread = LoopThread(f"cosmos {self.location}")
        try:
            self._session = await self._open(host, thread)
        except BaseException:
            thread.stop()
            raise

    async def close(self) -> None:
        """See `IActorStateStorage.close`."""
        session, self._session = self._session, None
        if session is None or session.process != os.getpid():
            return
        try:
            wait = self._account.timeout + _CLOSE_WITHIN
            await session.thread.run(session.queues.close(wait))
            await session.renewer.close()
            await session.thread.run(session.service.close())
        finally:
            await session.thread.close()

    def claim(self, actor_id: ActorId, *, take_over: bool = False) -> "Future[Claim]":
        """See `IActorStateStorage.claim`."""
        return self._submit(actor_id, CosmosStep("claim", take_over))

    def apply(
        self, actor_id: ActorId, change: ActorChange
    ) -> "Future[tuple[TurnRecord, ...]]":
        """See `IActorStateStorage.apply`; it may have 2 MB and 100 documents."""
        try:
            check_sizes(change, MAX_VALUE)
        except TooLarge as error:
            return failed(error)
        change.remove = tuple(change.remove)  # it is read more than once
        return self._submit(actor_id, CosmosStep("apply", change))

    def write_state(
        self,
        actor_id: ActorId,
        *,
        set: Mapping[str, Encoded],
        remove: Iterable[str] = (),
        etag: str | None = None,
    ) -> "Future[str]":
        """See `IActorStateStorage.write_state`; at most 2 MB and 100 documents."""
        try:
            check_values(set, MAX_VALUE)
        except TooLarge as error:
            return failed(error)
        argument = (dict(set), tuple(remove), etag)
        return self._submit(actor_id, CosmosStep("write_state", argument))

    def delete_state(
        self, actor_id: ActorId, *, epoch: int | None = None
    ) -> "Future[bool]":
        """See `IActorStateStorage.delete_state`."""
        return self._submit(actor_id, CosmosStep("delete_state", epoch))

    async def trim(self, actor_id: ActorId, keep: int) -> None:
        """See `IActorStateStorage.trim`."""
        await self._submit(actor_id, CosmosStep("trim", keep))

    async def read_states(
        self,
        actor_ids: Sequence[ActorId],
        keys: Iterable[str] | None = None,
        *,
        prefix: str = "",
    ) -> list[ActorState]:
        """See `IActorStateStorage.read_states`; it asks every actor's partition."""
        ids, wanted = tuple(actor_ids), None if keys is None else tuple(keys)
        return await self._read(
            lambda service: read_states(service, ids, wanted, prefix)
        )

    async def find_turn(self, actor_id: ActorId, message_id: str) -> TurnRecord | None:
        """See `IActorStateStorage.find_turn`."""
        return await self._read(
            lambda service: find_turn(service, actor_id, message_id)
        )

    async def read_turns(
        self, actor_id: ActorId, *, before: int | None = None, limit: int = 50
    ) -> list[TurnRecord]:
        """See `IActorStateStorage.read_turns`."""
        return await self._read(
            lambda service: read_turns(service, actor_id, before, limit)
        )

    async def list_keys(
        self,
        actor_id: ActorId,
        prefix: str = "",
        *,
        after: str | None = None,
        limit: int = 200,
    ) -> Page[str]:
        """See `IActorStateStorage.list_keys`."""
        return await self._read(
            lambda service: list_keys(service, actor_id, prefix, after, limit)
        )

    async def list_actors(
        self,
        type_name: str | None = None,
        *,
        open_only: bool = False,
        mark: str | None = None,
        after: str | None = None,
        limit: int = 200,
    ) -> Page[ActorId]:
        """See `IActorStateStorage.list_actors`; it asks every partition."""
        return await self._read(
            lambda service: list_actors(
                service,
                type_name,
                open_only=open_only,
                mark=mark,
                after=after,
                limit=limit,
            )
        )

    # --- opening

    async def _open(self, host: HostInfo, thread: LoopThread) -> _CosmosSession:
        service = Service(self._account)
        renewer = None
        try:
            await thread.run(_connect(service))
            lease = CosmosHostLease(self._account, host, self._lease)
            renewer = LeaseRenewer(
                lease.renew,
                ttl=self._lease,
                where=self.location,
                release=lease.release,
            )
            await renewer.start()
        except BaseException:
            if renewer is not None:
                await renewer.close()
            await thread.run(service.close())
            raise
        writer = CosmosWriter(service, host)
        return _CosmosSession(
            host=host,
            process=os.getpid(),
            thread=thread,
            service=service,
            renewer=renewer,
            queues=StepQueues(thread, writer.run, self.location),
        )

    def _require_open(self) -> _CosmosSession:
        session = self._session
        if session is None:
            raise StorageClosed(self.location)
        if session.process != os.getpid():
            # A forked child has neither the threads nor the connections.
            raise StorageClosed(f"{self.location} (opened before a fork)")
        return session

    def _submit(self, actor_id: ActorId, step: CosmosStep) -> "Future[Any]":
        try:
            return self._require_open().queues.submit(actor_id, step)
        except StorageClosed as error:
            return failed(error)

    async def _read(self, read: Callable[[Service], Coroutine[Any, Any, T]]) -> T:
        session = self._require_open()
        try:
            return await session.thread.run(read(session.service))
        except AgentRuntimeError:
            raise
        except Exception as error:
            # A client that is closed under a request fails in any way.
            if self._session is session:
                raise
            raise StorageClosed(self.location) from error


async def _connect(service: Service) -> None:
    """Connect, and see that nobody newer has written there."""
    await service.connect()
    stored = await service.read(ABOUT, ROOT_ID)
    if stored is None:
        about = {"id": ROOT_ID, "pk": ABOUT, "kind": "about", "schema": SCHEMA}
        await service.upsert(about)
        return
    found: object = stored.document.get("schema")
    if not isinstance(found, int):
        raise Corrupt(service.account.location, "it does not say its schema")
    if found > SCHEMA:
        raise SchemaTooNew(service.account.location, found, SCHEMA)


def _credential(key: str | None) -> str | Callable[[], Any]:
    if key is None:
        return load("azure.identity.aio", "cosmos").DefaultAzureCredential
    try:
        base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        names = " or ".join(KEY_VARIABLES)
        problem = f"the account's key is not one: it is base64 text, as in {names}"
        raise InvalidRequest("storage", problem) from None
    return key
