"""One storage of each backend, and what is stored there as bytes to keep in a file.

Nothing here knows the tables, keys or documents of this package, except how a backend
says which version it has and which host lives: a database copies what it finds, with the
statements that made it, so that the files of one version can be read by the code of
another. What comes out is what `kill -9` would leave behind at that moment.
"""

import asyncio
import importlib
import json
import re
import sqlite3
import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import redis
from azure.cosmos import PartitionKey
from azure.cosmos.aio import CosmosClient

from agent_runtime_nb.storage.cosmos import CosmosStateStorage
from agent_runtime_nb.storage.postgres.storage import PostgresStateStorage
from agent_runtime_nb.storage.redis.storage import RedisStateStorage
from agent_runtime_nb.storage.sqlite.storage import SqliteStateStorage
from agent_runtime_nb.storage_abstractions import IActorStateStorage
from tests.servers.cosmos_server import CosmosServer
from tests.servers.postgres_server import PostgresServer
from tests.servers.redis_server import RedisServer


class Database(ABC):
    """What one storage is kept in, empty at first.

    Attributes:
        file_name: of what is kept of this backend.
    """

    file_name: ClassVar[str]

    @abstractmethod
    def storage(self) -> IActorStateStorage:
        """A storage here, not open."""

    @abstractmethod
    async def dump(self) -> bytes:
        """What is stored, whether a host has it open or not; its host is dead then."""

    @abstractmethod
    async def load(self, dumped: bytes) -> None:
        """Store what was dumped here or in another database of this backend."""

    @abstractmethod
    async def set_version(self, version: int) -> None:
        """Let what is stored say that it has this schema version."""

    async def everything(self) -> object:
        """What is stored, to be compared: nothing may be written unseen."""
        return await self.dump()


def _to_json(value: object) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True).encode() + b"\n"


class SqliteDatabase(Database):
    """The file itself: its header, journal mode and version are stored things too."""

    file_name = "sqlite.db"

    def __init__(self, folder: Path) -> None:
        self._folder = folder / uuid.uuid4().hex
        self._folder.mkdir()
        self._path = self._folder / "state.db"

    def storage(self) -> IActorStateStorage:
        return SqliteStateStorage(self._path)

    async def dump(self) -> bytes:
        connection = sqlite3.connect(self._path)
        try:
            return connection.serialize()  # with what is in the write-ahead log
        finally:
            connection.close()

    async def load(self, dumped: bytes) -> None:
        self._path.write_bytes(dumped)

    async def set_version(self, version: int) -> None:
        connection = sqlite3.connect(self._path)
        connection.execute(f"pragma user_version={version}")
        connection.close()

    async def everything(self) -> object:
        # Every file, byte for byte; nothing is open, so no lock can be lost by reading.
        files = (path for path in self._folder.rglob("*") if path.is_file())
        return {path: path.read_bytes() for path in files}


_TABLES = """
select c.relname as table, json_agg(json_build_object(
    'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
    'collation', l.collname, 'identity', a.attidentity <> '', 'not null', a.attnotnull,
    'default', pg_get_expr(d.adbin, d.adrelid)) order by a.attnum)::text as columns
from pg_class c
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
left join pg_collation l on l.oid = a.attcollation and l.collname <> 'default'
where c.relnamespace = $1::regnamespace and c.relkind = 'r'
group by c.relname order by c.relname collate "C"
"""
_CONSTRAINTS = """
select 'alter table {s}.' || quote_ident(c.relname) || ' add constraint '
    || quote_ident(o.conname) || ' ' || pg_get_constraintdef(o.oid)
from pg_constraint o join pg_class c on c.oid = o.conrelid
where o.connamespace = $1::regnamespace and o.contype <> 'n' order by 1
"""
_INDEXES = """
select pg_get_indexdef(i.indexrelid)
from pg_index i join pg_class c on c.oid = i.indexrelid
where c.relnamespace = $1::regnamespace
and not exists(select from pg_constraint o where o.conindid = i.indexrelid) order by 1
"""
_OTHERS = """
select (select count(*) from pg_proc where pronamespace = $1::regnamespace)
    + (select count(*) from pg_class
       where relnamespace = $1::regnamespace and relkind not in ('r', 'i', 'S'))
"""


class PostgresDatabase(Database):
    """A schema of its own; the statements that make its tables are asked of the server.

    Values are texts as the server writes them, bytes in its "escape" format.
    """

    file_name = "postgres.json"

    def __init__(self, server: PostgresServer) -> None:
        self._url = server.local_url
        self._schema = f"upgrades_{uuid.uuid4().hex}"

    def storage(self) -> IActorStateStorage:
        return PostgresStateStorage(self._url, schema=self._schema)

    @asynccontextmanager
    async def _connected(self) -> AsyncGenerator[Any]:
        asyncpg: Any = importlib.import_module("asyncpg")
        connection = await asyncpg.connect(dsn=self._url)
        try:
            await connection.execute("set time zone 'UTC'")
            async with connection.transaction(isolation="repeatable_read"):
                yield connection
        finally:
            await connection.close()

    async def dump(self) -> bytes:
        async with self._connected() as server:
            if await server.fetchval(_OTHERS, self._schema):
                raise NotImplementedError("views and functions are not dumped yet")
            tables = [
                {"name": table, "columns": json.loads(columns)}
                for table, columns in await server.fetch(_TABLES, self._schema)
            ]
            for table in tables:
                table["rows"] = await self._rows(server, table)
            made = [
                row[0]
                for query in (_CONSTRAINTS, _INDEXES)
                for row in await server.fetch(query, self._schema)
            ]
        then = [re.sub(rf"\b{self._schema}\.", "{s}.", one) for one in made]
        return _to_json({"tables": tables, "then": then})

    async def _rows(self, server: Any, table: dict[str, Any]) -> list[list[Any]]:
        texts = [
            f"encode({name}, 'escape')" if kind == "bytea" else f"{name}::text"
            for name, kind in ((one["name"], one["type"]) for one in table["columns"])
        ]
        query = f"select {', '.join(texts)} from {self._schema}.{table['name']}"  # noqa: S608 - names that the server told
        rows = [list(row) for row in await server.fetch(query)]
        return sorted(rows, key=repr)

    async def load(self, dumped: bytes) -> None:
        kept = json.loads(dumped)
        async with self._connected() as server:
            await server.execute(f"create schema {self._schema}")
            for table in kept["tables"]:
                await self._make(server, table)
            for statement in kept["then"]:
                await server.execute(statement.replace("{s}", self._schema))
            # Its host died long ago, even if it was dumped just now.
            await server.execute(
                f"update {self._schema}.host set expires_at = '-infinity'"  # noqa: S608 - our name
            )

    async def _make(self, server: Any, table: dict[str, Any]) -> None:
        name, columns = f"{self._schema}.{table['name']}", table["columns"]
        definitions = ", ".join(map(_definition, columns))
        await server.execute(f"create table {name}({definitions})")
        values = ", ".join(
            f"decode(${n}::text, 'escape')"
            if column["type"] == "bytea"
            else f"${n}::text::{column['type']}"
            for n, column in enumerate(columns, 1)
        )
        insert = f"insert into {name} overriding system value values ({values})"  # noqa: S608 - names from the file
        await server.executemany(insert, table["rows"])
        for column in (one["name"] for one in columns if one["identity"]):
            await server.execute(
                f"select setval(pg_get_serial_sequence('{name}', '{column}'), "  # noqa: S608 - names from the file
                f"coalesce(max({column}), 1)) from {name}"
            )

    async def set_version(self, version: int) -> None:
        async with self._connected() as server:
            await server.execute(
                f"update {self._schema}.schema_version set version = {version}"  # noqa: S608 - a number
            )


def _definition(column: dict[str, Any]) -> str:
    words = [column["name"], column["type"]]
    if column["collation"]:
        words.append(f'collate "{column["collation"]}"')
    if column["identity"]:
        words.append("generated always as identity")
    if column["not null"]:
        words.append("not null")
    if column["default"] is not None:
        words.append(f"default {column['default']}")
    return " ".join(words)


class RedisDatabase(Database):
    """A prefix of its own; keys by their types, so that any server's version reads them.

    Keys that vanish by themselves are left out: what a dead host leaves does not.
    """

    file_name = "redis.json"

    def __init__(self, server: RedisServer) -> None:
        self._url = server.url
        self._prefix = f"upgrades-{uuid.uuid4().hex}"

    def storage(self) -> IActorStateStorage:
        return RedisStateStorage(self._url, prefix=self._prefix)

    def _connect(self) -> Any:
        # Bytes that are no UTF-8 come back from the file as they were.
        return redis.Redis.from_url(
            self._url, decode_responses=True, encoding_errors="surrogateescape"
        )

    async def dump(self) -> bytes:
        return await asyncio.to_thread(self._dump)

    def _dump(self) -> bytes:
        with self._connect() as client:
            kept: dict[str, Any] = {}
            for key in client.scan_iter(match=f"{self._prefix}:*"):
                if client.pttl(key) == -1:
                    name = key.removeprefix(self._prefix)
                    kept[name] = _read_key(client, key)
        return _to_json(kept)

    async def load(self, dumped: bytes) -> None:
        await asyncio.to_thread(self._load, json.loads(dumped))

    def _load(self, kept: dict[str, dict[str, Any]]) -> None:
        with self._connect() as client:
            for name, typed in kept.items():
                [(kind, value)] = typed.items()
                _write_key(client, self._prefix + name, kind, value)

    async def set_version(self, version: int) -> None:
        with self._connect() as client:
            client.set(f"{self._prefix}:schema", version)


def _read_key(client: Any, key: str) -> dict[str, Any]:
    match kind := client.type(key):
        case "string":
            return {kind: client.get(key)}
        case "hash":
            return {kind: client.hgetall(key)}
        case "zset":
            return {kind: client.zrange(key, 0, -1, withscores=True)}
        case "set":
            return {kind: sorted(client.smembers(key))}
        case "list":
            return {kind: client.lrange(key, 0, -1)}
        case _:
            raise NotImplementedError(f"a {kind} is not dumped yet")


def _write_key(client: Any, key: str, kind: str, value: Any) -> None:
    match kind:
        case "string":
            client.set(key, value)
        case "hash":
            client.hset(key, mapping=value)
        case "zset":
            client.zadd(key, dict(value))
        case "set":
            client.sadd(key, *value)
        case _:
            client.rpush(key, *value)


class CosmosDatabase(Database):
    """A container of its own in the emulator; documents without what the service adds."""

    file_name = "cosmos.json"
    _DATABASE = "upgrades"

    def __init__(self, server: CosmosServer) -> None:
        self._server = server
        self._container = f"c-{uuid.uuid4().hex}"

    def storage(self) -> IActorStateStorage:
        return CosmosStateStorage(
            self._server.endpoint,
            database=self._DATABASE,
            container=self._container,
            key=self._server.key,
        )

    @asynccontextmanager
    async def _documents(self) -> AsyncGenerator[Any]:
        options: dict[str, Any] = {"enable_endpoint_discovery": False}
        server = self._server
        async with CosmosClient(server.endpoint, server.key, **options) as client:
            database = await client.create_database_if_not_exists(self._DATABASE)
            yield await database.create_container_if_not_exists(
                self._container, PartitionKey("/pk"), default_ttl=-1
            )

    async def dump(self) -> bytes:
        async with self._documents() as documents:
            found = [one async for one in documents.query_items("select * from c")]
        kept = [
            {key: value for key, value in one.items() if not key.startswith("_")}
            for one in found
        ]
        for one in kept:
            if one["kind"] == "host":
                one["lease"] = 0.0  # it counts from when the document is written
        return _to_json(sorted(kept, key=lambda one: (one["pk"], one["id"])))

    async def load(self, dumped: bytes) -> None:
        async with self._documents() as documents:
            for document in json.loads(dumped):
                await documents.upsert_item(document)

    async def set_version(self, version: int) -> None:
        async with self._documents() as documents:
            [about] = [
                one
                async for one in documents.query_items(
                    "select * from c where c.kind = 'about'"
                )
            ]
            await documents.upsert_item(about | {"schema": version})
