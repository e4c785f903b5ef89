"""One connection to Redis: groups of commands, an outcome each, nothing sent twice.

redis-py's own client would lose all answers of a pipeline with the first that does not
come, and may send again what was sent; so the commands go over its `Connection`, whose
work (protocol, TLS, logging in) stays its own.
"""

import contextlib
import copy
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

from redis import connection as connections, exceptions as theirs

from agent_runtime_nb.exceptions import (
    Corrupt,
    Full,
    InvalidRequest,
    ReadOnly,
    StorageError,
    Unavailable,
    reason_of,
)
from agent_runtime_nb.storage.redis.scripts import SCRIPTS, Command

_USAGE = "write redis://[user:password@]host[:port][/database], rediss:// or unix://"
_REFUSALS = (theirs.AuthenticationError, theirs.BusyLoadingError)
_RUN_ID = re.compile(rb"run_id:(\w+)")
_CODE = re.compile(r"\b(OOM|READONLY|MISCONF|WRONGTYPE|MOVED|ASK|NOAUTH|WRONGPASS)\b")


_parse_url = cast("Callable[[str], dict[str, Any]]", connections.parse_url)  # pyright: ignore[reportUnknownMemberType] - it has no types


class _Connection(Protocol):
    """What is used of redis-py's connection, which has no types."""

    def connect(self) -> None: ...
    def disconnect(self) -> None: ...
    def can_read(self, timeout: float) -> bool: ...
    def pack_commands(self, commands: Sequence[Command]) -> list[bytes]: ...
    def send_packed_command(
        self, command: list[bytes], *, check_health: bool
    ) -> None: ...
    def read_response(self) -> Any: ...


class Endpoint:
    """Where a Redis is, and how to connect to it.

    Args:
        url: redis://, rediss:// (TLS) or unix://, with redis-py's options as a query.
        timeout, connect_timeout: in seconds.

    Raises:
        InvalidRequest: if the URL is none; never shows what may be a password.
    """

    def __init__(self, url: str, *, timeout: float, connect_timeout: float) -> None:
        options: dict[str, Any] = {
            "socket_timeout": timeout,
            "socket_connect_timeout": connect_timeout,
        }
        try:
            options |= _parse_url(url)
            self.location = _location(url, options)
        except ValueError:
            # Not chained: what redis-py says may quote a part of the URL.
            problem = f"it is no Redis URL; {_USAGE}"
            raise InvalidRequest("storage", problem) from None
        self._class: Any = options.pop("connection_class", connections.Connection)
        options.pop("max_connections", None)
        # Nothing is ever sent a second time, and answers are bytes.
        options |= {"protocol": 2, "decode_responses": False}
        options |= {"retry": None, "retry_on_timeout": False}
        self._options = options
        try:
            self.connect_later()
        except (TypeError, ValueError, theirs.RedisError):
            problem = f"{self.location} has an option that Redis does not know"
            raise InvalidRequest("storage", problem) from None

    def connect_later(self) -> "_Connection":
        """A connection that is made when it is first used."""
        return self._class(**self._options)

    def at(self, host: str, port: int) -> "Endpoint":
        """Another node of the same cluster; errors go on to name the cluster."""
        if "path" in self._options:  # a socket has no other nodes
            return self
        node = copy.copy(self)
        node._options = self._options | {"port": port}  # noqa: SLF001 - its own kind
        if host:  # else a node that does not know its own name: as ours
            node._options["host"] = host  # noqa: SLF001 - as above
        return node


def _location(url: str, options: dict[str, Any]) -> str:
    """The URL without secrets and options."""
    scheme = urlsplit(url).scheme
    if scheme == "unix":
        return f"unix://{options['path']}" if "path" in options else _no_path()
    database = f"/{options['db']}" if options.get("db") else ""
    host, port = options.get("host", "localhost"), options.get("port", 6379)
    return f"{scheme}://{host}:{port}{database}"


def _no_path() -> str:
    raise ValueError("no path")


_Name = tuple[bytes, int]


class Lost(Exception):
    """A command was sent, and no answer came: it may or may not have been done."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(reason)
        self.where = where


class Elsewhere(Unavailable):
    """The key's slot is on another node of the cluster; nothing was done."""

    def __init__(self, where: str) -> None:
        super().__init__(where, "its cluster is moving what was asked for")


class RedisClient(ABC):
    """A way to Redis: one server, or several; of one thread."""

    @abstractmethod
    def run(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands; an answer each, or why there is none.

        Commands on the same key are done in order.

        Returns:
            For each command, in order: its answer, a `StorageError` (it was refused
            and did nothing), or `Lost`.

        Raises:
            Unavailable: the server cannot be reached; nothing was sent.
        """

    @abstractmethod
    def everywhere(self, *words: Any) -> list[Any]:
        """One command to every server behind the line; raises as `ask`."""

    @abstractmethod
    def close(self) -> None:
        """Disconnect; another `run` would connect again."""

    def ask(self, *words: Any) -> Any:
        """One command; its answer.

        Raises:
            StorageError: it was refused, or its answer was lost (Unavailable).
        """
        (outcome,) = self.run([words])
        if isinstance(outcome, Lost):
            raise Unavailable(outcome.where, reason_of(outcome)) from outcome
        if isinstance(outcome, StorageError):
            raise outcome
        return outcome


class Link(RedisClient):
    """A connection that is made when needed and again when it broke.

    No call takes longer than the time to connect and the time that the server is
    silent; both are bounded.

    Args:
        endpoint: where to.
        together: whether the server is to do what is sent in one go. It looks at 16 kB
            at a time, and with `appendfsync always` waits for the disk after each look;
            not for a cluster, where one go has one slot.
    """

    def __init__(self, endpoint: Endpoint, *, together: bool = False) -> None:
        self._together = together
        self._where = endpoint.location
        self._connection = endpoint.connect_later()
        self._connected = False
        # The server's life and the connection's number in it; and those of one that
        # broke while commands were under way.
        self._name: _Name | None = None
        self._ghost: _Name | None = None

    def run(self, commands: Sequence[Command]) -> list[Any]:
        """See `RedisClient.run`; in one go."""
        if not commands:
            return []
        outcomes = self._round_trip(commands)
        if any(isinstance(outcome, theirs.NoScriptError) for outcome in outcomes):
            self._run_again(commands, outcomes)
        return [
            translate(outcome, self._where)
            if isinstance(outcome, theirs.RedisError)
            else outcome
            for outcome in outcomes
        ]

    def everywhere(self, *words: Any) -> list[Any]:
        """See `RedisClient.everywhere`."""
        return [self.ask(*words)]

    def close(self) -> None:
        """See `RedisClient.close`."""
        self._connected = False
        self._connection.disconnect()

    def _round_trip(self, commands: Sequence[Command]) -> list[Any]:
        self._connect()
        if self._together and len(commands) > 1:
            begun, *answers, done = self._send([("MULTI",), *commands, ("EXEC",)])
            if isinstance(done, Lost):
                return [done] * len(commands)
            if isinstance(done, list):
                return cast("list[Any]", done)
            if isinstance(begun, theirs.ResponseError):
                self._together = False  # we may not: each was done as it came
                return answers
            # One was refused when it came, so none was done: each for itself, then.
        return self._send(commands)

    def _send(self, commands: Sequence[Command]) -> list[Any]:
        packed = self._connection.pack_commands(commands)
        try:
            self._connection.send_packed_command(packed, check_health=False)
        except theirs.RedisError as error:
            return self._lost(len(commands), error)
        return self._answers(len(commands))

    def _answers(self, count: int) -> list[Any]:
        outcomes: list[Any] = []
        while len(outcomes) < count:
            try:
                outcomes.append(self._connection.read_response())
            except theirs.ResponseError as error:
                outcomes.append(error)
            except theirs.RedisError as error:
                if isinstance(error, _REFUSALS):  # answers too, but redis-py hangs up
                    outcomes.append(error)
                return outcomes + self._lost(count - len(outcomes), error)
        return outcomes

    def _lost(self, count: int, error: theirs.RedisError) -> list[Any]:
        self._ghost = self._name
        self.close()
        return [Lost(self._where, reason_of(error)) for _ in range(count)]

    def _connect(self) -> None:
        try:
            if self._connected and self._is_stale():
                self.close()
            if not self._connected:
                self._connection.connect()
                self._connected = True
                self._begin()
        except theirs.RedisError as error:
            self.close()
            raise translate(error, self._where) from error

    def _is_stale(self) -> bool:
        """Whether the server has hung up (a restart): then nothing is sent into it."""
        try:
            return self._connection.can_read(timeout=0)
        except theirs.ConnectionError:
            return True

    def _begin(self) -> None:
        """What comes first on a new connection.

        Commands of the last one that a slow server has not looked at yet must not be
        done after those that follow, so that one is ended there, if we may.
        """
        self._name = None
        with contextlib.suppress(theirs.ResponseError):
            server, number = self._exchange([("INFO", "server"), ("CLIENT", "ID")])
            life = _RUN_ID.search(server)
            self._name = (life[1] if life else b"", number)
        ghost, self._ghost = self._ghost, None
        # Of another life of the server, its number is somebody else's now.
        if ghost is not None and self._name is not None and ghost[0] == self._name[0]:
            with contextlib.suppress(theirs.ResponseError):
                self._exchange([("CLIENT", "KILL", "ID", ghost[1])])
        self._load_scripts()

    def _load_scripts(self) -> None:
        self._exchange([("SCRIPT", "LOAD", script.text) for script in SCRIPTS])

    def _exchange(self, commands: Sequence[Command]) -> list[Any]:
        answers = self._send(commands)
        for answer in answers:
            if isinstance(answer, Lost):
                raise theirs.ConnectionError(reason_of(answer))
            if isinstance(answer, theirs.RedisError):
                raise answer
        return answers

    def _run_again(self, commands: Sequence[Command], outcomes: list[Any]) -> None:
        """Run what did not run because somebody flushed the server's scripts.

        In order; so nothing whose actor has gone on meanwhile (with scripts that yet
        another one loaded).
        """
        self._load_scripts_or_close()
        again: list[int] = []
        gone_on: set[bytes] = set()
        for n in reversed(range(len(commands))):
            key = commands[n][3] if commands[n][0] == "EVALSHA" else b""
            if not isinstance(outcomes[n], theirs.NoScriptError):
                gone_on.add(key)
            elif key in gone_on:
                outcomes[n] = Unavailable(self._where, "its scripts were flushed")
            else:
                again.insert(0, n)
        try:
            answers = self._round_trip([commands[n] for n in again])
        except Unavailable as error:
            answers = [error] * len(again)
        for n, answer in zip(again, answers, strict=True):
            outcomes[n] = answer

    def _load_scripts_or_close(self) -> None:
        try:
            self._load_scripts()
        except theirs.RedisError:
            self.close()  # the next round trip connects, and says what is wrong


_NO_LOGIN = "the user name or the password is wrong"
_REASONS = {
    "NOAUTH": _NO_LOGIN,
    "WRONGPASS": _NO_LOGIN,
}
_CODES: dict[type[theirs.RedisError], str] = {
    theirs.AuthenticationError: "WRONGPASS",
    theirs.OutOfMemoryError: "OOM",
    theirs.ReadOnlyError: "READONLY",
    theirs.AskError: "MOVED",
    theirs.MovedError: "MOVED",
}


def translate(error: theirs.RedisError, where: str) -> StorageError:
    """What an error of redis-py is in our tree; for a command that did nothing."""
    said = reason_of(error)
    # redis-py takes the code away from errors that it knows; those of scripts and
    # of older servers have it somewhere in their text.
    found = _CODE.search(said)
    code = _CODES.get(type(error)) or (found[1] if found else "")
    if code == "OOM" or (code == "MISCONF" and "No space" in said):
        return Full(where)
    if code == "READONLY":
        return ReadOnly(where)
    if code in ("MOVED", "ASK"):
        return Elsewhere(where)
    if code == "WRONGTYPE":
        return Corrupt(where, said)
    return Unavailable(where, _REASONS.get(code, said))
