"""Loads what the extra `cosmos` installs: a missing package is reported with the extra."""

from agent_runtime_nb._base.extras import load

for _module in ("aiohttp", "azure.cosmos"):
    load(_module, "cosmos")
