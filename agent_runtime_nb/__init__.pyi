"""The types of the names that the package loads on first use."""

from agent_runtime_nb.agents.actor import (
    AgentActor as AgentActor,
)
from agent_runtime_nb.agents.proxy import (
    AgentProxy as AgentProxy,
)
from agent_runtime_nb.agents.samples import (
    EchoAgent as EchoAgent,
    MockAIAgent as MockAIAgent,
    scripted_agent as scripted_agent,
)
from agent_runtime_nb.exceptions import (
    ActorBusy as ActorBusy,
    ActorOwnedElsewhere as ActorOwnedElsewhere,
    ActorQuarantined as ActorQuarantined,
    ActorStartFailed as ActorStartFailed,
    AgentNameTaken as AgentNameTaken,
    AgentRuntimeError as AgentRuntimeError,
    DeadLetter as DeadLetter,
    DeadlineExceeded as DeadlineExceeded,
    DeadlockDetected as DeadlockDetected,
    InvalidActorId as InvalidActorId,
    InvalidAgent as InvalidAgent,
    InvalidRequest as InvalidRequest,
    MailboxFull as MailboxFull,
    MessageIdReused as MessageIdReused,
    MissingExtra as MissingExtra,
    NotCompleted as NotCompleted,
    NotJson as NotJson,
    NotRunning as NotRunning,
    OutsideTurn as OutsideTurn,
    RemoteError as RemoteError,
    StorageError as StorageError,
    TurnFailed as TurnFailed,
    UnknownActorType as UnknownActorType,
)
from agent_runtime_nb.http_client.client import (
    HttpActorClient as HttpActorClient,
)
from agent_runtime_nb.notebook.start import (
    start as start,
)
from agent_runtime_nb.runtime.client import (
    InProcessActorClient as InProcessActorClient,
)
from agent_runtime_nb.runtime.runtime import (
    InProcessActorRuntime as InProcessActorRuntime,
)
from agent_runtime_nb.runtime_abstractions import (
    ActorId as ActorId,
    ActorMessage as ActorMessage,
    ActorMessageType as ActorMessageType,
    ActorRequestMessage as ActorRequestMessage,
    ActorResponseHandle as ActorResponseHandle,
    ActorResponseMessage as ActorResponseMessage,
    Cursor as Cursor,
    IActor as IActor,
    IActorClient as IActorClient,
    IActorRuntimeContext as IActorRuntimeContext,
    RequestStatus as RequestStatus,
    TurnUpdate as TurnUpdate,
    TurnView as TurnView,
)
from agent_runtime_nb.runtime_directory import (
    ActorSummary as ActorSummary,
    ActorTypeInfo as ActorTypeInfo,
    ActorView as ActorView,
    Health as Health,
    RuntimeDirectory as RuntimeDirectory,
)
from agent_runtime_nb.settings import (
    RuntimeSettings as RuntimeSettings,
)
from agent_runtime_nb.storage.memory import (
    InMemoryStateStorage as InMemoryStateStorage,
)
from agent_runtime_nb.storage.sqlite.storage import (
    SqliteStateStorage as SqliteStateStorage,
)
from agent_runtime_nb.storage_abstractions import (
    IActorStateStorage as IActorStateStorage,
)
from agent_runtime_nb.supervision import (
    RestartPolicy as RestartPolicy,
)

__version__: str
