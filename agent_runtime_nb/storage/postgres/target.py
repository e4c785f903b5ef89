"""Which server, database and schema a URL means, without showing its secrets."""

import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit, urlunsplit

from agent_runtime_nb.exceptions import InvalidRequest

DEFAULT_SCHEMA = "agent_runtime_nb"

_EXAMPLE = "postgresql://user:password@host:5432/database"
_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")


@dataclass(frozen=True, slots=True)
class Target:
    """A database and schema in a PostgreSQL server; its repr and `location` have no secrets."""

    location: str
    schema: str
    url: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False, default=())

    def without_secrets(self, text: str) -> str:
        """The text, with stars where a secret was."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


def parse_target(url: str, schema: str | None = None) -> Target:
    """The target of a URL of libpq's form; `?schema=` may name the schema too.

    Raises:
        InvalidRequest: if it is no such URL. It does not repeat the URL, which may
            have a password at any place if it is malformed.
    """
    parts = _split(url)
    query = [pair for pair in parts.query.split("&") if pair]
    named = [pair[7:] for pair in query if pair.startswith("schema=")]
    rest = [pair for pair in query if not pair.startswith("schema=")]
    schema = schema or (unquote(named[0]) if named else DEFAULT_SCHEMA)
    if not _SCHEMA.fullmatch(schema) or schema.startswith("pg_"):
        problem = f"the schema {schema!r} is not a name of a-z, 0-9 and _"
        raise InvalidRequest("storage", problem)
    options = parse_qs(parts.query)
    host = parts.netloc.rpartition("@")[2] or ",".join(options.get("host", ()))
    place = f"postgresql://{host}{parts.path}"
    return Target(
        location=place if schema == DEFAULT_SCHEMA else f"{place}?schema={schema}",
        schema=schema,
        url=urlunsplit(parts._replace(query="&".join(rest))),
        secrets=_secrets_of(parts, options),
    )


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        if "," not in parts.netloc:  # several hosts have several ports
            _ = parts.port  # raises if it is no number
    except ValueError:
        parts = None
    if (
        parts is None
        or parts.scheme not in {"postgresql", "postgres"}
        or parts.fragment
        or not url.isprintable()
    ):
        problem = (
            f"this is no URL of a PostgreSQL database; write {_EXAMPLE}, with %40 for "
            "@, %2F for / and %23 for # in the password"
        )
        raise InvalidRequest("storage", problem)
    return parts


def _secrets_of(parts: SplitResult, options: dict[str, list[str]]) -> tuple[str, ...]:
    user = parts.netloc.rpartition("@")[0]
    raw = user.partition(":")[2]
    found = {raw, unquote(raw), *options.get("password", ())}
    return tuple(sorted(found - {""}, key=len, reverse=True))
