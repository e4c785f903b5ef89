"""The Jupyter server of this kernel, and the addresses of a server behind its proxy.

`jupyter-server-proxy` makes a port of the machine reachable under the Jupyter server's
own address, `<base url>proxy/<port>/`, and sends the outer Host header on as it is.
So that host must be allowed, and a person on another machine must be shown that path.

A page of the notebook itself can reach the server directly if both are on this machine
and no TLS is in between (a page over https must not call plain http), else through that
proxy, if there is one and the guard knows the page's host.
"""

import importlib.util
import json
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from agent_runtime_nb._base.loopback import is_loopback

_PREFIX = "JUPYTERHUB_SERVICE_PREFIX"
_PUBLIC_URL = "JUPYTERHUB_PUBLIC_URL"


@dataclass(frozen=True, slots=True)
class JupyterServerInfo:
    """The Jupyter server of this kernel, as far as it is known.

    Attributes:
        proxy_prefix: the path that a port is appended to; None: there is no proxy.
        hosts: the values of Host that its clients send.
    """

    proxy_prefix: str | None = None
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ServerAddresses:
    """Where a page may reach a server.

    Attributes:
        urls: without a trailing slash, the best first; the page must try which of them
            answers, as the browser may run on another machine than it seems.
        problem: if there is no URL, a sentence that says what would give one.
    """

    urls: tuple[str, ...]
    problem: str = ""


def addresses_for(
    origin: str, url: str, proxied_path: str | None, hosts: Collection[str]
) -> ServerAddresses:
    """The URLs at which a page may reach a server.

    Args:
        origin: of the page, as a browser writes it.
        url: where the server listens.
        proxied_path: its path on the Jupyter server; None: there is no proxy.
        hosts: the allowed values of Host beside the server's own, in lower case.
    """
    page, urls = urlsplit(origin), list[str]()
    is_here = page.hostname is not None and is_loopback(page.hostname)
    if page.scheme == "http" and is_here:
        urls.append(url)
    if proxied_path is not None and page.netloc.casefold() in hosts:
        urls.append(origin + proxied_path)
    if urls:
        return ServerAddresses(tuple(urls))
    if proxied_path is None:
        problem = "With the package jupyter-server-proxy this page could reach the server of rt.serve()."
    else:
        problem = f"rt.serve(allowed_hosts=[{page.netloc!r}]) would let this page through Jupyter's proxy."
    return ServerAddresses((), problem)


def find_jupyter() -> JupyterServerInfo:
    """Find it: by a hub's environment variables, else by the parent's runtime file."""
    if importlib.util.find_spec("jupyter_server_proxy") is None:
        return JupyterServerInfo()
    prefix = os.environ.get(_PREFIX)
    if prefix:
        host = urlsplit(os.environ.get(_PUBLIC_URL, "")).netloc
        return JupyterServerInfo(_proxy_under(prefix), (host,) if host else ())
    server = _parent_runtime_file()
    if server is None:
        return JupyterServerInfo()
    port = server.get("port")
    names = {"localhost", "127.0.0.1", str(server.get("hostname") or "localhost")}
    hosts = tuple(sorted(f"{name}:{port}" for name in names))
    return JupyterServerInfo(_proxy_under(str(server.get("base_url") or "/")), hosts)


def _proxy_under(base: str) -> str:
    return f"/{base.strip('/')}/proxy/".replace("//", "/")


def _parent_runtime_file() -> dict[str, Any] | None:
    """The runtime file of the Jupyter server that started this process."""
    if importlib.util.find_spec("jupyter_core") is None:
        return None
    paths = importlib.import_module("jupyter_core.paths")
    file = Path(paths.jupyter_runtime_dir(), f"jpserver-{os.getppid()}.json")
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else None
