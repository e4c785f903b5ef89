"""`AgentActor`, by the name that stays; it lives in `agents.actor`."""

from agent_runtime_nb.agents.actor import AgentActor

__all__ = ["AgentActor"]
