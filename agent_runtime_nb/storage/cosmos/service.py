"""The way to one container: requests with a deadline, sent again where that is safe.

azure-cosmos would repeat requests by rules of its own; they are switched off, so that
there is one place that decides it and one deadline. What Cosmos DB refuses is `CosmosRefusal`
and the caller's to judge; what went wrong on the way is sent again until the deadline.
A batch may have taken effect although no answer came. It begins with the root and the
version that it replaces, so sending it again cannot do it twice.
"""

import asyncio
import io
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar, cast

from azure.core.exceptions import (
    AzureError,
)
from azure.core.pipeline.transport import AioHttpTransport
from azure.core.utils import case_insensitive_dict
from azure.cosmos import PartitionKey
from azure.cosmos.aio import ContainerProxy, CosmosClient

from agent_runtime_nb.exceptions import (
    StorageError,
    Unavailable,
)
from agent_runtime_nb.storage.cosmos.batch import Operation
from agent_runtime_nb.storage.cosmos.documents import (
    PARTITION_PATH,
    Document,
)
from agent_runtime_nb.storage.cosmos.errors import (
    SILENCE,
    CosmosRefusal,
    Fate,
    RequestFailed,
    Unanswered,
    classified,
)

T = TypeVar("T")

_OUR_INDEXES = ("/pk/?", "/kind/?", "/generation/?", "/order/?", "/position/?")
_OUR_FILTERS = ("/status/?", "/full/?", "/listed/?", "/busy/?", "/marks/*")
INDEXING_POLICY: Mapping[str, Any] = {
    "indexingMode": "consistent",
    "includedPaths": [{"path": path} for path in (*_OUR_INDEXES, *_OUR_FILTERS)],
    "excludedPaths": [{"path": "/*"}],
}
"""Only what is asked for: indexing the texts would cost more than storing them."""

_PAGE = 1000  # documents in one answer
_LARGE = 500_000  # bytes
_ANSWER_WITHIN = 10.0  # seconds for one request
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0


class _Transport(AioHttpTransport):
    """Sends large bodies as aiohttp wants them: as a file, else it warns."""

    async def send(self, request: Any, **options: Any) -> Any:
        """See the base class."""
        if isinstance(request.data, bytes) and len(request.data) > _LARGE:
            request.data = io.BytesIO(request.data)
        base: Any = super()
        return await base.send(request, **options)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Which container, and how to get in.

    Attributes:
        endpoint: URL of the account, without secrets.
        credential: its key, or what makes an asynchronous credential of azure-identity.
        timeout: seconds after which a step gives up.
        create: whether a missing database or container is made.
    """

    endpoint: str
    database: str
    container: str
    credential: str | Callable[[], Any] = field(repr=False)
    timeout: float
    create: bool

    @property
    def location(self) -> str:
        """For people."""
        return f"{self.endpoint}/{self.database}/{self.container}"


class Stored(NamedTuple):
    """A document as it was read, and when, by the service's clock."""

    document: Document
    headers: Mapping[str, str]


class Service:
    """One connected client; belongs to the loop that has connected it."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self._client: CosmosClient | None = None
        self._credential: Any = None  # one that was made for this connection
        self._found: ContainerProxy | None = None

    @property
    def _container(self) -> ContainerProxy:
        if self._found is None:
            raise Unavailable(self.account.location, "it is not connected")
        return self._found

    async def connect(self) -> None:
        """Connect and find the container.

        Raises:
            StorageError: if it cannot be reached, entered or used.
        """
        credential = self.account.credential
        if callable(credential):
            credential = self._credential = credential()
        self._client = CosmosClient(
            self.account.endpoint,
            credential,
            transport=_Transport(),
            enable_endpoint_discovery=False,
            enable_compact_utf8_item_writes=True,
            retry_throttle_total=-1,  # none: it takes 0 for unsaid
            retry_total=0,
            retry_connect=0,
            retry_read=0,
            retry_status=0,
        )
        try:
            await self._ask(self._client.__aenter__)
            self._found = await self._find_container(self._client)
        except BaseException as error:
            await self.close()
            if isinstance(error, CosmosRefusal):
                raise self._cannot_make(error) from error
            raise

    async def close(self) -> None:
        """Disconnect. Twice is once."""
        client, self._client = self._client, None
        self._found = None
        if client is not None:
            await client.close()
        credential, self._credential = self._credential, None
        if credential is not None:
            await credential.close()

    async def read(
        self, partition: str, one: str, *, within: float | None = None
    ) -> Stored | None:
        """A document; `within` seconds instead of the account's timeout.

        Raises:
            StorageError: if it cannot be read in time.
        """
        try:
            found = await self._ask(
                lambda: self._container.read_item(one, partition_key=partition),
                within=within,
            )
        except CosmosRefusal as error:
            if error.status == 404:
                return None
            raise Unavailable(self.account.location, error) from error
        headers = case_insensitive_dict(found.get_response_headers())
        return Stored(dict(found), cast("Mapping[str, str]", headers))

    async def query(
        self,
        partition: str | None,
        query: str,
        *,
        ids: Sequence[str] = (),
        **parameters: Any,
    ) -> list[Any]:
        """What a query finds; `partition` None: in all of them.

        `query` says `c.pk = @pk` itself if there is a partition, and `IN ({ids})` if
        there are ids.

        Raises:
            StorageError: if it cannot be read in time.
        """
        options: dict[str, Any] = {"max_item_count": _PAGE}
        if partition is not None:
            options["partition_key"] = parameters["pk"] = partition
        for number, one in enumerate(ids):
            parameters[f"id{number}"] = one
        query = query.replace("{ids}", ", ".join(f"@id{n}" for n in range(len(ids))))
        given: list[dict[str, object]] = [
            {"name": f"@{name}", "value": value} for name, value in parameters.items()
        ]

        async def ask() -> list[Any]:
            # Through Any: its overloads tell the options apart by literal types.
            container = cast("Any", self._container)
            found = container.query_items(query, parameters=given, **options)
            return [item async for item in found]

        try:
            return await self._ask(ask)
        except CosmosRefusal as error:
            raise Unavailable(self.account.location, error) from error

    async def upsert(self, document: Document) -> None:
        """Write a document, whatever is there.

        Raises:
            StorageError: if it is not known to be written in time.
        """
        try:
            await self._ask(lambda: self._container.upsert_item(document))
        except CosmosRefusal as error:
            raise Unavailable(self.account.location, error) from error

    async def batch(
        self, partition: str, operations: Sequence[Operation]
    ) -> str | None:
        """Write a batch; returns Cosmos DB's version of its first document.

        Raises:
            Refused: nothing was written, unless an earlier sending was: see above.
            Unanswered: see there.
            StorageError: nothing was written.
        """

        async def send() -> list[dict[str, Any]]:
            # A copy: the client takes the options out of what it is given.
            copied: list[Any] = [(*one[:2], *map(dict, one[2:])) for one in operations]
            return await self._container.execute_item_batch(
                copied, partition_key=partition
            )

        done = await self._ask(send, writing=True)
        return done[0].get("eTag")

    # --- one request

    async def _ask(
        self,
        make: Callable[[], Awaitable[T]],
        *,
        within: float | None = None,
        writing: bool = False,
    ) -> T:
        deadline = time.monotonic() + (within or self.account.timeout)
        pause = _FIRST_PAUSE
        fates: set[Fate] = {"not done"}
        said: RequestFailed | None = None  # the last that is more than silence
        while True:
            try:
                return await self._try(make, deadline - time.monotonic())
            except CosmosRefusal as refused:
                refused.in_doubt = len(fates) > 1
                raise
            except RequestFailed as failure:
                fates.add(failure.fate)
                wait = pause if failure.retry_after is None else failure.retry_after
                said = failure if said is None or failure.said else said
            if time.monotonic() + wait >= deadline:
                if writing and len(fates) > 1:
                    over = "perhaps still under way" not in fates
                    raise Unanswered(over=over, reason=said) from said
                where = self.account.location
                raise Unavailable(where, said, max(wait, 1.0)) from said
            await asyncio.sleep(wait)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _try(self, make: Callable[[], Awaitable[T]], left: float) -> T:
        try:
            async with asyncio.timeout(min(left, _ANSWER_WITHIN)):
                return await make()
        except TimeoutError as error:
            raise RequestFailed(SILENCE, "perhaps still under way") from error
        except AzureError as error:
            raise classified(error, self.account.location) from error

    # --- the container

    async def _find_container(self, client: CosmosClient) -> ContainerProxy:
        account = self.account
        if account.create:
            database = await self._ask(
                lambda: client.create_database_if_not_exists(account.database)
            )
            container = await self._ask(
                lambda: database.create_container_if_not_exists(
                    account.container,
                    PartitionKey(PARTITION_PATH),
                    indexing_policy=dict(INDEXING_POLICY),
                    default_ttl=-1,  # on, for the documents that have a time of life
                )
            )
        else:
            database = client.get_database_client(account.database)
            container = database.get_container_client(account.container)
        properties = await self._ask(container.read)
        paths = properties["partitionKey"]["paths"]
        if paths != [PARTITION_PATH]:
            reason = f"its partition key is {paths}; make one with {PARTITION_PATH}"
            raise Unavailable(account.location, reason)
        return container

    def _cannot_make(self, error: CosmosRefusal) -> StorageError:
        account = self.account
        reason = (
            f"there is no database {account.database!r} with a container "
            f"{account.container!r} (answer {error.status}); make it, with the "
            f"partition key {PARTITION_PATH}, or let it be made: create=True"
        )
        return Unavailable(account.location, reason)
