"""`cosmos://account.documents.azure.com/database/container`, taken apart."""

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote

from agent_runtime_nb.exceptions import InvalidRequest

KEY_VARIABLES = ("COSMOS_KEY", "AZURE_COSMOS_KEY")

_FORM = "cosmos://ACCOUNT.documents.azure.com/DATABASE/CONTAINER"
_LOCATION = re.compile(
    r"(?P<host>[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(:(?P<port>\d{1,5}))?"
    r"/(?P<database>[^/?#\\]{1,255})/(?P<container>[^/?#\\]{1,255})/?"
)


class CosmosLocation(NamedTuple):
    """What a URL names; `key` None: it has none."""

    endpoint: str
    database: str
    container: str
    key: str | None


def find_location(
    endpoint: str,
    database: str | None,
    container: str | None,
    environ: Mapping[str, str],
) -> CosmosLocation:
    """What an endpoint with the other two, or a cosmos:// URL without them, names.

    Raises:
        InvalidRequest: if it names no container; its text shows no secret.
    """
    if endpoint.startswith("cosmos:"):
        return _parse_url(endpoint, environ)
    if database is None or container is None:
        raise InvalidRequest(
            "storage", f"name database and container, or write {_FORM}"
        )
    return CosmosLocation(endpoint.rstrip("/"), database, container, None)


def _parse_url(url: str, environ: Mapping[str, str]) -> CosmosLocation:
    """A key is accepted as it is, although it may have slashes, or percent-encoded."""
    scheme, _, rest = url.partition("://")
    secret, at, location = rest.rpartition("@")
    found = _LOCATION.fullmatch(location)
    if scheme != "cosmos" or found is None:
        raise InvalidRequest("storage", f"this is no Cosmos DB URL; write {_FORM}")
    key = _unquoted(secret.rpartition(":")[2]) if at else ""
    if not key:
        named = (environ.get(name, "").strip() for name in KEY_VARIABLES)
        key = next(filter(None, named), "")
    return CosmosLocation(
        f"https://{found['host']}:{found['port'] or 443}",
        unquote(found["database"]),
        unquote(found["container"]),
        key or None,
    )


def _unquoted(text: str) -> str:
    return unquote(text) if "%" in text else text
