"""The Jupyter server around this kernel, and the way through its proxy.

`jupyter-server-proxy` makes a port of the machine reachable under the Jupyter server's
own address, `<base url>proxy/<port>/`, and sends the outer Host header on as it is.
So that host must be allowed, and a person far away must be shown that path.

A page of the notebook itself can reach the server directly if both are on this machine
and no TLS is in between (a page over https must not call plain http), else through that
proxy, if there is one and the guard knows the page's host.
"""

import importlib.util
import ipaddress
import json
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

_PREFIX = "JUPYTERHUB_SERVICE_PREFIX"
_PUBLIC_URL = "JUPYTERHUB_PUBLIC_URL"


@dataclass(frozen=True, slots=True)
class JupyterServerInfo:
    """What is known of it.

    Attributes:
        proxy_prefix: what a port follows in a path; None: there is no proxy.
        hosts: the values that its clients send as Host.
    """

    proxy_prefix: str | None = None
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ServerAddresses:
    """How a page reaches a server.

    Attributes:
        urls: without a trailing slash, the best first; the page must see which of them
            answers, as the browser may be on another machine than it seems.
        problem: if there is none, what could be done, in a sentence.
    """

    urls: tuple[str, ...]
    problem: str = ""


def ways(
    origin: str, url: str, proxied_path: str | None, hosts: Collection[str]
) -> ServerAddresses:
    """The ways from a page to a server.

    Args:
        origin: of the page, as a browser writes it.
        url: where the server listens.
        proxied_path: where it is under the Jupyter server's address.
        hosts: those that the server's guard lets in, beside the server's own.
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


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def find_jupyter() -> JupyterServerInfo:
    """Look for it: a hub's environment, else the parent process's own description."""
    if importlib.util.find_spec("jupyter_server_proxy") is None:
        return JupyterServerInfo()
    prefix = os.environ.get(_PREFIX)
    if prefix:
        host = urlsplit(os.environ.get(_PUBLIC_URL, "")).netloc
        return JupyterServerInfo(_proxy_under(prefix), (host,) if host else ())
    server = _parents_description()
    if server is None:
        return JupyterServerInfo()
    port = server.get("port")
    names = {"localhost", "127.0.0.1", str(server.get("hostname") or "localhost")}
    hosts = tuple(sorted(f"{name}:{port}" for name in names))
    return JupyterServerInfo(_proxy_under(str(server.get("base_url") or "/")), hosts)


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
