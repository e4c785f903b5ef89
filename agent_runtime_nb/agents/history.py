"""The conversation as an agent's history: given at the beginning of a run, staged at its end."""

import copy
from collections.abc import Sequence
from typing import Any, cast

from agent_framework import (
    HistoryProvider,
    Message,
    SupportsAgentRun,
)

_STORE_NOTICE = (
    "This model's service would store the conversation. It is kept here instead "
    '(store=False); to store it there, give the agent default_options={"store": True}.'
)


class StagingHistory(HistoryProvider):
    """Gives an agent the conversation and catches what it saves, until it is committed.

    `history` is what was committed; `staged` is what the running turn has saved so far.
    An agent may save more than once per run, and sees what it has saved; or nothing at
    all while it `is_hidden`.
    """

    def __init__(self, history: list[Message]) -> None:
        super().__init__("agent_runtime_nb")
        self.history = history
        self.staged: list[Message] = []
        self.is_hidden = False

    async def get_messages(
        self,
        session_id: str | None,
        *,
        state: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> list[Message]:
        """The conversation so far; the list is the caller's."""
        return [] if self.is_hidden else [*self.history, *self.staged]

    async def save_messages(
        self,
        session_id: str | None,
        messages: Sequence[Message],
        *,
        state: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Stage what a run adds."""
        self.staged.extend(messages)


def staged(
    agent: SupportsAgentRun,
) -> tuple[SupportsAgentRun, StagingHistory | None, str | None]:
    """The agent to run, its staging provider if it has one, and what to tell once."""
    providers = getattr(agent, "context_providers", None)
    if not isinstance(providers, list) or any(
        isinstance(provider, HistoryProvider) and provider.load_messages
        for provider in cast("list[object]", providers)
    ):
        return agent, None, None
    options: dict[str, Any] = getattr(agent, "default_options", None) or {}
    if options.get("store") or options.get("conversation_id"):
        return agent, None, None
    staging = StagingHistory([])
    double: Any = copy.copy(agent)
    # First in the list: other providers may then see the conversation.
    double.context_providers = [staging, *cast("list[Any]", providers)]
    notice = None
    client = getattr(agent, "client", None)
    if getattr(client, "STORES_BY_DEFAULT", False) and "store" not in options:
        double.default_options = {**options, "store": False}
        notice = _STORE_NOTICE
    return double, staging, notice
