"""The Jupyter server around this kernel, and the way through its proxy.

`jupyter-server-proxy` makes a port of the machine reachable under the Jupyter server's
own address, `<base url>proxy/<port>/`, and sends the outer Host header on as it is.
So that host must be allowed, and a person far away must be shown that path.
"""

import importlib.util
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

_PREFIX = "JUPYTERHUB_SERVICE_PREFIX"
_PUBLIC_URL = "JUPYTERHUB_PUBLIC_URL"


@dataclass(frozen=True, slots=True)
class JupyterPlace:
    """What is known of it.

    Attributes:
        proxy_prefix: what a port follows in a path; None: there is no proxy.
        hosts: the values that its clients send as Host.
    """

    proxy_prefix: str | None = None
    hosts: tuple[str, ...] = ()


def find_jupyter() -> JupyterPlace:
    """Look for it: a hub's environment, else the parent process's own description."""
    if importlib.util.find_spec("jupyter_server_proxy") is None:
        return JupyterPlace()
    prefix = os.environ.get(_PREFIX)
    if prefix:
        host = urlsplit(os.environ.get(_PUBLIC_URL, "")).netloc
        return JupyterPlace(_proxy_under(prefix), (host,) if host else ())
    server = _parents_description()
    if server is None:
        return JupyterPlace()
    port = server.get("port")
    names = {"localhost", "127.0.0.1", str(server.get("hostname") or "localhost")}
    hosts = tuple(sorted(f"{name}:{port}" for name in names))
    return JupyterPlace(_proxy_under(str(server.get("base_url") or "/")), hosts)


def _proxy_under(base: str) -> str:
    return f"/{base.strip('/')}/proxy/".replace("//", "/")


def _parents_description() -> dict[str, Any] | None:
    """What a Jupyter server that started this process has written about itself."""
    if importlib.util.find_spec("jupyter_core") is None:
        return None
    paths = importlib.import_module("jupyter_core.paths")
    file = Path(paths.jupyter_runtime_dir(), f"jpserver-{os.getppid()}.json")
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else None
