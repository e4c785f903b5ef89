"""Composition without Jupyter: storage, runtime, client and agents in one `Host`.

Whoever starts a process that hosts agents (the notebook, the command line, the HTTP
server's own command) starts here. Agents are given as they are: objects, factories,
functions `f(message, history)`, names of the sample agents, `"module:attribute"`, or
a mapping of names to any of these. An agent's own name is made a type name ("Weather
Agent" becomes `weather-agent`); both find it.
"""

import importlib
import inspect
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType, TracebackType
from typing import Any, Self, cast

from agent_runtime_nb.agents.actor import AgentActor
from agent_runtime_nb.agents.samples import EchoAgent, MockAIAgent, scripted_agent
from agent_runtime_nb.agents.source import AgentSource
from agent_runtime_nb.exceptions import (
    AgentNameTaken,
    InvalidActorId,
    InvalidAgent,
    InvalidRequest,
    UnknownActorType,
)
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
)
from agent_runtime_nb.storage.urls import open_storage
from agent_runtime_nb.storage_abstractions import (
    IActorStateStorage,
)
from agent_runtime_nb.supervision import OnInterrupted, RestartPolicy

SAMPLE_AGENTS: Mapping[str, Callable[[], Any]] = MappingProxyType(
    {"echo": EchoAgent, "mock-ai": MockAIAgent, "scripted": scripted_agent}
)
"""Agents that need no key and can be asked for by name."""

_NAME_IT = 'give it a name, as in start({"my-agent": agent})'


# --- agents and their names -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HostedAgent:
    """An agent and the name under which it is hosted.

    Attributes:
        type_name: its actor type.
        name: its own name, or its key in a mapping.
        description: one line, may be empty.
        agent: what was given: an agent, a factory or a function.
    """

    type_name: str
    name: str
    description: str
    agent: Any


def type_name_of(name: str) -> str:
    """`name` as a type name; "" if no character of it can be kept."""
    if _is_type_name(name):
        return name
    ascii_only = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9_.:-]+", "-", ascii_only.lower()).strip("-.:")
    if slug and not slug[0].isalpha():
        slug = "_" + slug.lstrip("_")
    return slug[:64]


def resolve_agents(agents: Iterable[Any]) -> dict[str, HostedAgent]:
    """Agents by their type names, in the order given; see the head of this module.

    A factory without a name in a mapping is called once to learn its agent's name.

    Raises:
        AgentNameTaken: if two different agents get the same type name.
        InvalidAgent: if one has no name or is no agent.
    """
    found: dict[str, HostedAgent] = {}
    for hosted in _named(agents):
        known = found.setdefault(hosted.type_name, hosted)
        if known.agent is not hosted.agent:
            raise AgentNameTaken(hosted.type_name)
    return found


def _named(agents: Iterable[Any]) -> Iterator[HostedAgent]:
    for given in agents:
        if isinstance(given, Mapping):
            for name, one in cast("Mapping[str, Any]", given).items():
                agent = _loaded(one)
                yield _host(name, _description(agent), agent)
        else:
            agent = _loaded(given)
            name, description = _name_and_description(agent)
            yield _host(name, description, agent)


def _host(name: str, description: str, agent: Any) -> HostedAgent:
    type_name = type_name_of(name)
    if not type_name:
        what = f"{type(agent).__name__} {name!r}" if name else _describe_nameless(agent)
        raise InvalidAgent(what, _NAME_IT)
    AgentSource(agent)  # raises now, not in the first turn, if it cannot be hosted
    return HostedAgent(type_name, name, description, agent)


def _describe_nameless(agent: Any) -> str:
    return f"a {type(agent).__name__} without a name"


def _loaded(agent: Any) -> Any:
    """The agent itself; of a name the sample agent, or what "module:attribute" says."""
    if not isinstance(agent, str):
        return agent
    name = agent
    if name in SAMPLE_AGENTS:
        return SAMPLE_AGENTS[name]()
    module, colon, attribute = name.partition(":")
    if not colon:
        samples = ", ".join(SAMPLE_AGENTS)
        raise InvalidAgent(repr(name), f'write "module:attribute" or one of {samples}')
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise InvalidAgent(repr(name), f"it cannot be imported: {error}") from error


def _name_and_description(agent: Any) -> tuple[str, str]:
    """The own name and description of an agent, a factory's agent or a function."""
    source = AgentSource(agent)
    if not source.is_factory:
        return _own_name(agent), _description(agent)
    made = agent()
    if inspect.isawaitable(made):
        if inspect.iscoroutine(made):
            made.close()  # it needs a loop, and there may be none yet
        return _own_name(agent), _description(agent)
    source.checked(made)
    return _own_name(made) or _own_name(agent), _description(made)


def _own_name(agent: Any) -> str:
    name = getattr(agent, "name", None) or getattr(agent, "__name__", None)
    return name if isinstance(name, str) and name != "<lambda>" else ""


def _description(agent: Any) -> str:
    if inspect.isroutine(agent):
        return (inspect.getdoc(agent) or "").partition("\n")[0]
    description = getattr(agent, "description", None)
    return description if isinstance(description, str) else ""


def _is_type_name(name: str) -> bool:
    try:
        ActorId(name, "-")
    except InvalidActorId:
        return False
    return True


# --- the host -------------------------------------------------------------------------


class Host:
    """A runtime on a storage, its client, and the agents it hosts.

    Make it anywhere; call `start` and `stop` on the loop that runs it. Use it as
    `async with Host(agent) as host:` or start and stop it.

    Args:
        agents: see the head of this module.
        storage: see `storage.urls.open_storage`.
        on_interrupted: what becomes of their requests after a host died;
            see `supervision.OnInterrupted`.
        restart: how often their actors may fail, and how often a request is begun; see
            `supervision.RestartPolicy`. None: its defaults.

    Raises:
        AgentNameTaken, InvalidAgent: as `resolve_agents`.
        InvalidRequest, MissingExtra, ReadOnly: as `open_storage`.
    """

    def __init__(
        self,
        *agents: Any,
        storage: str | os.PathLike[str] | IActorStateStorage | None = None,
        on_interrupted: OnInterrupted = "ask",
        restart: RestartPolicy | None = None,
    ) -> None:
        hosted = resolve_agents(agents)
        self.storage = open_storage(storage)
        self.runtime = InProcessActorRuntime(self.storage)
        self.client = InProcessActorClient(self.runtime)
        self._agents: dict[str, HostedAgent] = {}
        self._on_interrupted: OnInterrupted = on_interrupted
        self._restart = RestartPolicy() if restart is None else restart
        self._register(hosted, on_interrupted, self._restart)

    @property
    def agents(self) -> Mapping[str, HostedAgent]:
        """The hosted agents by type name, in the order they came."""
        return MappingProxyType(self._agents)

    def add(
        self,
        *agents: Any,
        on_interrupted: OnInterrupted | None = None,
        restart: RestartPolicy | None = None,
    ) -> None:
        """Host more agents; one of a known name serves from the next turn on.

        `on_interrupted` or `restart` None: as the host was made with.

        Raises:
            AgentNameTaken, InvalidAgent: as `resolve_agents`; nothing was added.
        """
        self._register(
            resolve_agents(agents),
            on_interrupted or self._on_interrupted,
            restart or self._restart,
        )

    def find(self, agent: Any = None) -> str:
        """The type name of an agent.

        Args:
            agent: its name in either form, or the object that was given. None is fine
                if there is only one.

        Raises:
            InvalidRequest: if `agent` is None and there is none or more than one.
            UnknownActorType: if none has that name; the error's note has the nearest one.
        """
        if agent is None:
            return self._only_agent()
        for hosted in self._agents.values():
            if agent in (hosted.type_name, hosted.name) or agent is hosted.agent:
                return hosted.type_name
        name = agent if isinstance(agent, str) else _own_name(agent)
        type_name = type_name_of(name)
        if type_name in self._agents:
            return type_name
        raise UnknownActorType(name, self._agents)

    def _only_agent(self) -> str:
        if len(self._agents) == 1:
            return next(iter(self._agents))
        if not self._agents:
            raise InvalidRequest("agent", "none is hosted; give one to start(agent)")
        raise InvalidRequest("agent", f"say which one: {', '.join(self._agents)}")

    def _register(
        self,
        hosted: Mapping[str, HostedAgent],
        on_interrupted: OnInterrupted,
        restart: RestartPolicy,
    ) -> None:
        for agent in hosted.values():
            self.runtime.register_actor_type(
                agent.type_name,
                lambda _context, given=agent.agent: AgentActor(given),
                description=agent.description,
                on_interrupted=on_interrupted,
                restart=restart,
            )
        self._agents.update(hosted)

    async def start(self) -> None:
        """Open the storage and run on the current loop."""
        await self.runtime.start()

    async def stop(self, *, drain: float = 10.0) -> None:
        """Let running turns end for `drain` seconds, interrupt the rest, close the storage."""
        await self.runtime.stop(drain=drain)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()
