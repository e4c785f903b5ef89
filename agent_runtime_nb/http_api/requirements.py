"""Loads what the extra `http` installs: a missing package is reported with the extra."""

import sys

from agent_runtime_nb._base.extras import load
from agent_runtime_nb.exceptions import MissingExtra

try:
    for _module in ("ag_ui.core", "fastapi", "uvicorn", "httptools", "fastapi_offline"):
        load(_module, "http")
except MissingExtra as error:
    # `python -m` imports this folder before its command could answer for itself; as
    # long as it looks for that command, the arguments begin with "-m".
    if sys.argv[:1] == ["-m"] and __package__ in sys.orig_argv:
        raise SystemExit(f"agent_runtime_nb: {error}") from None
    raise
