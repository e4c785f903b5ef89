"""Authenticates and checks every request before any route; pure ASGI.

A server in a notebook's process is one `fetch` away from every web page that the
person opens, and one `connect` away from every other user of the machine. So, in this
order: the Host must be one of ours, exactly (DNS rebinding); a browser must come from
our own pages (Origin, Sec-Fetch-Site); a bearer token, compared in constant time; JSON
only, which no form can send; a body within its limit, counted while it arrives, within
a deadline, and not nested too deeply. The body is read here, before any route runs.

`/`, `/docs` and `/openapi.json` hold no data and open without a token, also from a
link on another site. The token is never accepted in a URL. Pages of other origins get in
only if `cors_origins` names them, and with the token.
"""

import asyncio
import functools
import hmac
import re
import secrets
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent_runtime_nb._base.request_headers import RequestHeaders
from agent_runtime_nb.exceptions import InvalidRequest
from agent_runtime_nb.http_api.json_depth import is_nested_deeper
from agent_runtime_nb.http_api.problems import Problem, Refused
from agent_runtime_nb.http_client.protocol import LARGEST_REQUEST
from agent_runtime_nb.side_channel.tickets import (
    HELLO_PATH,
    TICKET_PATHS,
    TicketRefused,
    Tickets,
)

BODY_IS_HERE = "agent_runtime_nb.body_is_here"
"""In the state of a request whose whole body the server has: no deadline is needed."""

OPEN_PATHS = frozenset({"/", "/openapi.json", "/docs"})
"""Served without a token; what is under `/docs/` too."""

_SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]


_ORIGIN = re.compile(r"https?://[A-Za-z0-9.\[\]:_-]+")

_CORS_HEADERS = [
    (b"access-control-allow-methods", b"GET, POST, PATCH, DELETE"),
    (
        b"access-control-allow-headers",
        b"authorization, content-type, idempotency-key, last-event-id, prefer",
    ),
    (b"access-control-expose-headers", b"x-request-id, location, retry-after"),
    (b"access-control-max-age", b"600"),
]

_LARGE_ENDS = (
    "/run",
    "/conversations",
    "/actors/requests",
    "/directory/verbs/import_turns",
    "/v1/responses",
    "/v1/chat/completions",
)
"""Endings of the paths whose bodies may be whole conversations."""


def new_token() -> str:
    """A random token of 256 bits."""
    return secrets.token_urlsafe(32)


@dataclass(frozen=True, kw_only=True)
class GuardOptions:
    """What the guard accepts.

    Attributes:
        token: the bearer token; None asks for none, the other checks stay.
            `Access` holds the current one, once `create_app` was called.
        allowed_hosts: values of the Host header beside this machine's loopback names
            and the address that was connected to, exact, with the port if the browser
            sends one ("example.org", "example.org:8443").
        cors_origins: origins of pages that may call from a browser, exact, with the
            scheme ("https://app.example.org"); "*" is refused.
        run_limit: bytes of the body of a run or an import, in whatever API.
        body_limit: bytes of any other body.
        receipt_timeout: seconds in which a body must have arrived.
        depth_limit: levels of nested lists and objects in a body.

    Raises:
        InvalidRequest: if the token is empty or has white space around it, or an
            origin is none.
    """

    token: str | None = field(default_factory=new_token, repr=False)
    allowed_hosts: Iterable[str] = ()
    cors_origins: Iterable[str] = ()
    run_limit: int = LARGEST_REQUEST
    body_limit: int = 1_000_000
    receipt_timeout: float = 10.0
    depth_limit: int = 100

    def __post_init__(self) -> None:
        if self.token is not None:
            _check_new_token(self.token)
        for origin in self.cors_origins:
            if not _ORIGIN.fullmatch(origin):
                problem = f"{origin!r} is no origin, as https://app.example.org is"
                raise InvalidRequest("cors_origins", problem)


def _check_new_token(token: str) -> None:
    if not token.strip():
        raise InvalidRequest("token", "must not be empty; None asks for no token")
    if token != token.strip() or not token.isprintable():  # no header could carry it
        raise InvalidRequest(
            "token", "must not have white space around it or control characters"
        )


class Access:
    """The current token. Never shown: not in a repr, a log or an error."""

    def __init__(self, token: str | None) -> None:
        self._token = None if token is None else token.encode()

    def replace(self, token: str) -> None:
        """Accept only this token from now on.

        Raises:
            InvalidRequest: if no header could carry the new one.
        """
        _check_new_token(token)
        self._token = token.encode()

    def check(self, headers: RequestHeaders) -> None:
        """Compare the token of a request, in constant time.

        Raises:
            Refused: with 401 if it is another one, or none.
        """
        if self._token is None:
            return
        scheme, _, given = headers.only(b"authorization").partition(b" ")
        matches = hmac.compare_digest(given.strip(), self._token)
        if scheme.lower() != b"bearer" or not matches:
            detail = "send the server's token: Authorization: Bearer <token>"
            raise _refused(401, "unauthorized", detail)


class Guard:
    """The middleware; refuses by raising `Refused`."""

    def __init__(
        self,
        app: ASGIApp,
        options: GuardOptions,
        access: Access | None = None,
        tickets: Tickets | None = None,
    ) -> None:
        self._app = app
        self._options = options
        self._access = access or Access(options.token)
        self._tickets = tickets or Tickets()
        self._hosts = frozenset(host.casefold() for host in options.allowed_hosts)
        self._origins = frozenset(one.casefold() for one in options.cors_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)
        else:  # a websocket; there are none here
            await send({"type": "websocket.close", "code": 1008})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = RequestHeaders(scope["headers"])
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        is_open = path in OPEN_PATHS or path.startswith("/docs/")
        hosts = _all_hosts(self._hosts, *(scope.get("server") or ("127.0.0.1", None)))
        _check_host(headers, hosts)
        extra_headers = _SECURITY_HEADERS
        if path.startswith(TICKET_PATHS):
            await self._serve_ticket(
                scope, receive, _with_headers(send, extra_headers), path
            )
            return
        if headers.text(b"origin") in self._origins:
            extra_headers = [*extra_headers, *_cors_headers(headers)]
            if scope["method"] == "OPTIONS":
                await _answer_preflight(send, extra_headers)
                return
        else:
            _check_origin(headers, hosts, allows_cross_site=is_open)
        try:
            if not is_open:
                self._access.check(headers)
            receive = await self._receive(scope, headers, receive, path)
        except Refused as refused:  # with the CORS headers, so that a page can read it
            response = refused.problem.response()
            await response(scope, receive, _with_headers(send, extra_headers))
            return
        await self._app(scope, receive, _with_headers(send, extra_headers))

    async def _serve_ticket(
        self, scope: Scope, receive: Receive, send: Send, path: str
    ) -> None:
        """Serve a page with a ticket: nothing else lets a request in here."""
        headers = RequestHeaders(scope["headers"])
        with _ticket_refusals():
            extra_headers = self._tickets.cors_headers(headers)
        if scope["method"] == "OPTIONS":
            with _ticket_refusals():
                more = self._tickets.preflight_headers(headers)
            await _answer_preflight(send, [*extra_headers, *more])
            return
        send = _with_headers(send, extra_headers)
        try:
            if scope["method"] != "POST":
                raise _refused(405, "method-not-allowed", "only POST is answered here")
            if path != HELLO_PATH:
                with _ticket_refusals():
                    ticket = self._tickets.check(headers)
                scope.setdefault("state", {})["ticket"] = ticket
            receive = await self._receive(scope, headers, receive, path)
        except Refused as refused:
            await refused.problem.response()(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _receive(
        self, scope: Scope, headers: RequestHeaders, receive: Receive, path: str
    ) -> Receive:
        if not _has_body(headers):
            return receive
        _check_media_type(headers)
        limit = self._limit(path)
        is_here = bool(scope.get("state", {}).get(BODY_IS_HERE))
        return await self._read_body(headers, receive, limit, is_here=is_here)

    def _limit(self, path: str) -> int:
        options = self._options
        large = path.endswith(_LARGE_ENDS) or path.startswith("/ag-ui/")
        return options.run_limit if large else options.body_limit

    async def _read_body(
        self, headers: RequestHeaders, receive: Receive, limit: int, *, is_here: bool
    ) -> Receive:
        """Read the whole body; returns a `receive` that gives it once."""
        announced = headers.only(b"content-length")
        if announced.isdigit() and int(announced) > limit:
            raise _too_large(limit)
        if is_here:
            body = await _collect(receive, limit)
        else:
            body = await self._collect_in_time(receive, limit)
        depth = self._options.depth_limit
        if is_nested_deeper(body, depth):
            detail = f"the body may have {depth} levels at most"
            raise _refused(400, "too-deep", detail)
        message: Message | None = {"type": "http.request", "body": body}

        async def replay() -> Message:
            nonlocal message
            if message is None:
                return await receive()
            first, message = message, None
            return first

        return replay

    async def _collect_in_time(self, receive: Receive, limit: int) -> bytes:
        try:
            async with asyncio.timeout(self._options.receipt_timeout):
                return await _collect(receive, limit)
        except TimeoutError:
            detail = "the body did not arrive in time"
            raise _refused(408, "request-timeout", detail) from None


@functools.lru_cache(maxsize=16)
def _all_hosts(
    allowed: frozenset[str], address: str, port: int | None
) -> frozenset[str]:
    """Those allowed, and this server's own: of its socket, not of the request."""
    literal = f"[{address}]" if ":" in address else address
    names = {"127.0.0.1", "localhost", "[::1]", literal.casefold()}
    own = {f"{name}:{port}" for name in names}
    return allowed | own | (names if port == 80 else set[str]())


def _check_host(headers: RequestHeaders, hosts: frozenset[str]) -> None:
    if headers.text(b"host") not in hosts:
        detail = "this Host is not served here; name it in allowed_hosts"
        raise _refused(421, "misdirected-request", detail)


def _check_origin(
    headers: RequestHeaders, hosts: frozenset[str], *, allows_cross_site: bool
) -> None:
    if b"origin" in headers:
        scheme, _, origin = headers.text(b"origin").partition("://")
        if scheme not in ("http", "https") or origin not in hosts:
            raise _refused(403, "foreign-origin", "this Origin is not allowed here")
    site = headers.text(b"sec-fetch-site")
    if site not in ("", "none", "same-origin") and not allows_cross_site:
        detail = "a page of another site must not call this server"
        raise _refused(403, "foreign-origin", detail)


def _cors_headers(headers: RequestHeaders) -> list[tuple[bytes, bytes]]:
    origin = (b"access-control-allow-origin", headers.only(b"origin"))
    return [origin, (b"vary", b"Origin"), *_CORS_HEADERS]


async def _answer_preflight(
    send: Send, extra_headers: list[tuple[bytes, bytes]]
) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": extra_headers})
    await send({"type": "http.response.body", "body": b""})


def _with_headers(send: Send, extra_headers: list[tuple[bytes, bytes]]) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *extra_headers]
        await send(message)

    return send_with_headers


def _has_body(headers: RequestHeaders) -> bool:
    length = headers.only(b"content-length")
    return b"transfer-encoding" in headers or length not in (b"", b"0")


def _check_media_type(headers: RequestHeaders) -> None:
    media_type = headers.text(b"content-type").partition(";")[0].strip()
    encoding = headers.text(b"content-encoding") or "identity"
    if media_type != "application/json" or encoding != "identity":
        detail = "send JSON, not compressed: Content-Type: application/json"
        raise _refused(415, "unsupported-media-type", detail)


async def _collect(receive: Receive, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _refused(400, "incomplete-body", "the body ended too early")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            raise _too_large(limit)
        if not message.get("more_body", False):
            return b"".join(parts)


def _too_large(limit: int) -> Refused:
    return _refused(413, "too-large", f"the body may have {limit:,} bytes at most")


@contextmanager
def _ticket_refusals() -> Generator[None]:
    """Raise `TicketRefused` as `Refused`."""
    try:
        yield
    except TicketRefused as refused:
        raise _refused(
            refused.status, refused.slug, str(refused), scheme="Ticket"
        ) from None


def _refused(status: int, slug: str, detail: str, scheme: str = "Bearer") -> Refused:
    # Nothing of the request is repeated: it is not trusted. The connection is closed,
    # as an unread body may follow.
    headers = {"Connection": "close"}
    if status == 401:
        headers["WWW-Authenticate"] = scheme
    return Refused(Problem(status, slug, detail, {"retryable": False}, headers))
