"""What the extra `http` brings, asked for before any module of this folder needs it."""

from agent_runtime_nb._extras import load

for _module in ("ag_ui.core", "fastapi", "uvicorn", "httptools", "fastapi_offline"):
    load(_module, "http")
