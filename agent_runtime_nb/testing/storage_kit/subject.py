"""`StorageUnderTest`: what the storage contract needs to know of a backend.

`make` is enough. Whatever else a backend can (be killed, be made by another process,
be broken on purpose) it says by overriding; the cases that need what is not there are
skipped and name it.
"""

import importlib
import unittest
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal, NamedTuple, cast

from agent_runtime_nb.runtime_abstractions import JsonValue
from agent_runtime_nb.storage_abstractions import IActorStateStorage

FaultKind = Literal[
    "down", "slow", "cut", "throttled", "full", "read-only", "corrupt", "newer-schema"
]
"""What can be wrong with a backend, for as long as `StorageUnderTest.fault` is open.

down: it cannot be reached. slow: each answer takes a second or more. cut: the
connection ends after the next write has taken effect and before its answer.
throttled: it asks to be called again later, a few times. full, read-only: as it says.
corrupt: what is stored is damaged. newer-schema: a later version has written it.
"""


class Skipped(unittest.SkipTest):
    """A case that the backend cannot be asked; pytest and unittest show it as skipped."""


class Recipe(NamedTuple):
    """How another process makes a storage on the same data; it is sent as JSON."""

    target: str
    """`package.module:callable`, which is called and returns a storage."""
    arguments: tuple[JsonValue, ...] = ()
    options: Mapping[str, JsonValue] = {}

    def make(self) -> IActorStateStorage:
        """Make the storage, in the process that calls this."""
        module, _, name = self.target.partition(":")
        target = getattr(importlib.import_module(module), name)
        storage: Any = target(*self.arguments, **self.options)
        return cast("IActorStateStorage", storage)


class StorageUnderTest(ABC):
    """One backend and data that every storage made by it shares.

    The data need not be empty: cases use actors of their own and delete them. What
    stays is what the contract keeps of a deleted actor, its epoch.
    """

    persistent = True
    """Whether the data outlives all its storages; False: while one object is alive."""

    largest_value = 8_000_000
    """The size in bytes of the largest value that it must take."""

    refuses_larger = False
    """Whether one byte more is TooLarge."""

    dead_within = 60.0
    """Seconds after which the actors of a killed process can be claimed."""

    kills = 2
    """How often the case of killed processes kills one."""

    listed = 60
    """How many actors the case of long lists makes."""

    secrets: tuple[str, ...] = ()
    """Texts that were given to `make` and may be shown nowhere, as a password."""

    skips: Mapping[str, str] = {}
    """Names of cases that this backend cannot pass, and why."""

    @abstractmethod
    def make(self) -> IActorStateStorage:
        """A storage on the data, not open; each call gives another one."""

    async def kill(self, storage: IActorStateStorage) -> None:
        """Let others take the host of an open storage for dead, at once.

        As after SIGKILL: nothing is closed properly. Whether the object can still be
        used is the backend's affair; `close()` must go on to work.
        """
        raise Skipped("kill() is not overridden: no host can be made dead")

    def recipe(self) -> Recipe:
        """How another process makes a storage on the data."""
        raise Skipped("recipe() is not overridden: no other process can join")

    def make_unreachable(self) -> IActorStateStorage:
        """A storage with the same secrets, whose server cannot be reached."""
        raise Skipped("make_unreachable() is not overridden")

    def make_with_clock(self, ahead: float) -> IActorStateStorage:
        """A storage on the data of a host whose clock is `ahead` seconds wrong.

        A backend that uses no clock of its host overrides this with `make`.
        """
        raise Skipped("make_with_clock() is not overridden")

    def older_versions(self) -> "Mapping[str, StorageUnderTest]":
        """Data written by older versions of the backend, by name of the version."""
        raise Skipped("older_versions() is not overridden: no older data")

    def fault(self, kind: FaultKind) -> AbstractAsyncContextManager[None]:
        """Break the backend for every storage on the data, and mend it at the end."""
        raise Skipped(f"fault({kind!r}) is not overridden: it cannot be broken so")


class MadeBy(StorageUnderTest):
    """A backend of which nothing is known but how a storage is made."""

    def __init__(self, factory: Callable[[], IActorStateStorage]) -> None:
        self._factory = factory

    def make(self) -> IActorStateStorage:
        """See `StorageUnderTest.make`."""
        return self._factory()
