"""What the extra `cosmos` brings, asked for before any module of this folder needs it."""

from agent_runtime_nb._base.extras import load

for _module in ("aiohttp", "azure.cosmos"):
    load(_module, "cosmos")
