"""The storage that a path or a URL names; see `open_storage`.

What a server's storage needs is imported only when its URL is asked for, so that
nobody pays for, or must install, what is not used.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, cast
from urllib.parse import parse_qsl

from agent_runtime_nb._base.extras import load
from agent_runtime_nb.exceptions import InvalidRequest, ReadOnly
from agent_runtime_nb.storage.memory import InMemoryStateStorage
from agent_runtime_nb.storage.sqlite.database import OnCorrupt, Synchronous
from agent_runtime_nb.storage.sqlite.storage import SqliteStateStorage
from agent_runtime_nb.storage_abstractions import (
    IActorStateStorage,
)

STORAGE_VARIABLE = "AGENT_RUNTIME_STORAGE"
"""The environment variable that names the storage if the caller names none."""

DEFAULT_STORAGE = Path(".agent_runtime", "state.db")
"""Where conversations are kept if nobody says anything, under the working directory."""


class _Server(NamedTuple):
    """Where the storage of a server is; `extra` is its module's and extra's name."""

    extra: str
    class_name: str
    example: str


_REDIS = _Server("redis", "RedisStateStorage", "redis://host:6379/0")
_REDIS_TLS = _REDIS._replace(example="rediss://host:6379/0")
_REDIS_SOCKET = _REDIS._replace(example="unix:///path/redis.sock")
_POSTGRES = _Server("postgres", "PostgresStateStorage", "postgresql://user@host/db")
_COSMOS = _Server(
    "cosmos", "CosmosStateStorage", "cosmos://account.documents.azure.com/db/container"
)

_SERVERS: Mapping[str, _Server] = MappingProxyType(
    {
        "redis": _REDIS,
        "rediss": _REDIS_TLS,
        "unix": _REDIS_SOCKET,
        "postgresql": _POSTGRES,
        "postgres": _POSTGRES,
        "cosmos": _COSMOS,
    }
)
_KNOWN = 'a path, sqlite:///path, "memory:", ' + ", ".join(
    server.example for server in (_REDIS, _POSTGRES, _COSMOS)
)
# What people write first; a SQLite file of that name would surprise them.
_NEARLY_URLS: Mapping[str, str] = MappingProxyType(
    {"memory": '"memory:"', ":memory:": '"memory:"'}
    | {name: f'"{server.example}"' for name, server in _SERVERS.items()}
)
_SYNCHRONOUS: Mapping[str, Synchronous] = {"full": "FULL", "normal": "NORMAL"}
_ON_CORRUPT: Mapping[str, OnCorrupt] = {"refuse": "refuse", "fresh": "fresh"}
_OPTIONS = "?synchronous=normal or full, ?on_corrupt=refuse or fresh"
_SQLITE_URLS = "write sqlite:///path, or sqlite:////path from the root"


def open_storage(
    target: str | os.PathLike[str] | IActorStateStorage | None = None,
) -> IActorStateStorage:
    """The storage that `target` names; nothing is connected yet.

    No error says more of a URL than its scheme: it may hold a password.

    Args:
        target: a path of a SQLite file, "sqlite:///path" (also with
            `?synchronous=normal` or `?on_corrupt=fresh`), "memory:", the URL of a server (redis, rediss,
            unix, postgresql, postgres, cosmos), a storage (returned as it is), or None: what
            AGENT_RUNTIME_STORAGE says, else `.agent_runtime/state.db` under the working
            directory. That folder is made, and made to ignore itself in git.

    Raises:
        InvalidRequest: if the scheme is not known, or the URL makes no sense.
        MissingExtra: if the packages for that server are not installed.
        ReadOnly: if the folder cannot be made.
    """
    if isinstance(target, IActorStateStorage):
        return target
    target = target or os.environ.get(STORAGE_VARIABLE) or None
    if target is None:
        path = DEFAULT_STORAGE.absolute()
        _make_folder(path.parent)
        _ignore_in_git(path.parent)
        return SqliteStateStorage(path)
    text = os.fspath(target)
    if isinstance(target, str) and target.lower() in _NEARLY_URLS:
        problem = f"{target} names no place; write {_NEARLY_URLS[target.lower()]}"
        raise InvalidRequest("storage", f'{problem}, or "./{target}" for a file')
    # Two letters at least: "C:\\state.db" is a path.
    scheme, colon, rest = text.partition(":")
    if not colon or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]+", scheme):
        return _sqlite_file(text)
    scheme = scheme.lower()
    if scheme == "memory":
        return InMemoryStateStorage()
    if scheme == "sqlite":
        return _sqlite_url(rest)
    if scheme in _SERVERS:
        return _of_server(scheme, rest)
    raise InvalidRequest("storage", f"{scheme}: is not known; write {_KNOWN}")


def _of_server(scheme: str, rest: str) -> IActorStateStorage:
    server = _SERVERS[scheme]
    if not re.match("//+[^/]", rest):
        problem = f"the {scheme}: URL names no server; write {server.example}"
        raise InvalidRequest("storage", problem)
    module = load(f"agent_runtime_nb.storage.{server.extra}", server.extra)
    return cast(
        "IActorStateStorage", getattr(module, server.class_name)(f"{scheme}:{rest}")
    )


def _sqlite_url(rest: str) -> IActorStateStorage:
    place, _, query = rest.partition("?")
    path = place.removeprefix("///") if place.startswith("//") else place
    if not path or path.startswith("//"):
        raise InvalidRequest("storage", f"sqlite:{rest} names no file; {_SQLITE_URLS}")
    if not query:
        return _sqlite_file(path)
    options = dict(parse_qsl(query.lower(), keep_blank_values=True))
    synchronous = _SYNCHRONOUS.get(options.pop("synchronous", "full"))
    on_corrupt = _ON_CORRUPT.get(options.pop("on_corrupt", "refuse"))
    if options or synchronous is None or on_corrupt is None:
        raise InvalidRequest("storage", f"?{query} is not known; write {_OPTIONS}")
    return _sqlite_file(path, synchronous, on_corrupt)


def _sqlite_file(
    path: str,
    synchronous: Synchronous = "FULL",
    on_corrupt: OnCorrupt = "refuse",
) -> IActorStateStorage:
    file = Path(path).expanduser().absolute()
    _make_folder(file.parent)
    return SqliteStateStorage(file, synchronous=synchronous, on_corrupt=on_corrupt)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ReadOnly(str(folder)) from error


def _ignore_in_git(folder: Path) -> None:
    mark = folder / ".gitignore"
    try:
        if not mark.exists():
            mark.write_text("*\n", encoding="utf-8")
    except OSError as error:
        raise ReadOnly(str(folder)) from error
