"""Tickets: what one page may do beside the widget channel, and nothing more.

While a cell blocks the kernel no message of a widget gets in. So a chat panel is given
a ticket, as a message and never as state that is saved: with it the page it was given
to (exactly that origin) may stop turns and answer approvals of one conversation over
HTTP. The server's own token never reaches a page.

A ticket is random, kept only as its digest, lives for a short while from its last
renewal, and ends at once when it is revoked. Whatever is wrong with one, the answer is
the same.
"""

import hashlib
import logging
import secrets
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from agent_runtime_nb.runtime_abstractions import ActorId

TICKET_LIFE = 150.0
"""Seconds that a ticket lives after it was given or renewed."""

TICKET_HEADER = b"x-agent-ticket"
TICKET_PATHS = "/tickets/"
HELLO_PATH = "/tickets/hello"
"""Answered without a ticket: a page asks there who answers before it shows its own."""

Deliver: TypeAlias = Callable[[ActorId, Mapping[str, Any]], Awaitable[bool]]
"""Hands a message of the page over; whether it was for that conversation.

Called on the server's loop. Raises `AgentRuntimeError` if nobody can take it.
"""

_PREFLIGHT = [
    (b"access-control-allow-methods", b"POST"),
    (b"access-control-allow-headers", b"content-type, " + TICKET_HEADER),
    (b"access-control-max-age", b"60"),
]
_ALLOWED_HEADERS = frozenset({"content-type", TICKET_HEADER.decode()})

_log = logging.getLogger(__name__)


class TicketRefused(Exception):
    """What a page asked for is not let in.

    Attributes:
        status: the HTTP status to answer with.
        slug: of the problem's type.
    """

    def __init__(self, status: int, slug: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.slug = slug


class RequestHeaders(Protocol):
    """Headers of a request, each only if it is there once."""

    def only(self, name: bytes) -> bytes:
        """The value; empty if there is none or more than one."""
        ...

    def text(self, name: bytes) -> str:
        """As `only`, as text to compare without case."""
        ...


@dataclass(slots=True)
class TicketRecord:
    """What the server knows of a ticket: all but the ticket.

    Attributes:
        actor_id: the conversation that it is good for.
        origin: of the page that it was given to.
        deliver: takes what the page sends.
        expires: by the clock of the `Tickets`.
    """

    actor_id: ActorId
    origin: str
    deliver: Deliver
    expires: float


class Ticket:
    """A ticket in the hands of who asked for it; any thread. Never shown."""

    def __init__(self, tickets: "Tickets", secret: str) -> None:
        self._tickets = tickets
        self.secret = secret

    def renew(self) -> bool:
        """Let it live on; whether it still lived."""
        return self._tickets.renew(_digest(self.secret.encode()))

    def revoke(self) -> None:
        """End it now."""
        self._tickets.revoke(_digest(self.secret.encode()))


class Tickets:
    """All tickets of one server; any thread.

    Args:
        clock: gives seconds.

    Attributes:
        server: says which server answers; no secret.
        is_open: whether a server takes tickets now.
        on_change: called when that changes or all tickets have ended, by any thread;
            what it raises is logged.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.server = secrets.token_hex(8)
        self.is_open = False
        self.on_change: Callable[[], None] = _nothing
        self._clock = clock
        self._lock = threading.Lock()
        self._held: dict[bytes, TicketRecord] = {}

    def issue(self, actor_id: ActorId, origin: str, deliver: Deliver) -> Ticket:
        """A new ticket for the page at `origin`, for one conversation."""
        secret = new_ticket()
        with self._lock:
            self._forget_expired()
            self._held[_digest(secret.encode())] = TicketRecord(
                actor_id, origin.casefold(), deliver, self._clock() + TICKET_LIFE
            )
        return Ticket(self, secret)

    def renew(self, digest: bytes) -> bool:
        """Let a ticket live on; whether it still lived."""
        with self._lock:
            self._forget_expired()
            held = self._held.get(digest)
            if held is not None:
                held.expires = self._clock() + TICKET_LIFE
            return held is not None

    def revoke(self, digest: bytes) -> None:
        """End a ticket; one that has ended stays so."""
        with self._lock:
            self._held.pop(digest, None)

    def open(self) -> None:
        """The server answers from now on."""
        self.is_open = True
        self._tell()

    def close(self) -> None:
        """The server ends, and all tickets with it."""
        self.is_open = False
        self.revoke_all()

    def revoke_all(self) -> None:
        """End them all; whoever still needs one asks for another."""
        with self._lock:
            self._held.clear()
        self._tell()

    def _tell(self) -> None:
        try:
            self.on_change()
        except Exception:
            _log.exception("a listener could not be told of the tickets")

    def _forget_expired(self) -> None:
        now = self._clock()
        for digest, held in list(self._held.items()):
            if held.expires <= now:
                del self._held[digest]

    # --- the door ---------------------------------------------------------------------

    def admit(self, headers: RequestHeaders) -> list[tuple[bytes, bytes]]:
        """The headers with which the page may read the answer.

        Raises:
            TicketRefused: with 403 unless a ticket that lives was given to this very origin.
        """
        origin = headers.text(b"origin")
        with self._lock:
            self._forget_expired()
            known = any(held.origin == origin for held in self._held.values())
        if not origin or not known:
            detail = "no ticket was given to a page of this Origin"
            raise TicketRefused(403, "foreign-origin", detail)
        allowed = (b"access-control-allow-origin", headers.only(b"origin"))
        return [allowed, (b"vary", b"Origin")]

    def preflight(self, headers: RequestHeaders) -> list[tuple[bytes, bytes]]:
        """What else a browser is told that asks before it sends.

        Raises:
            TicketRefused: with 403 if it would send anything but a ticket and JSON by POST.
        """
        method = headers.text(b"access-control-request-method")
        named = headers.text(b"access-control-request-headers").split(",")
        wanted = {name.strip() for name in named} - {""}
        if method != "post" or not wanted <= _ALLOWED_HEADERS:
            detail = "a page with a ticket sends JSON by POST and nothing else"
            raise TicketRefused(403, "foreign-origin", detail)
        return _PREFLIGHT

    def check(self, headers: RequestHeaders) -> TicketRecord:
        """What the ticket of a request is good for; it lives on from here.

        Raises:
            TicketRefused: with 401 if there is none, or it is unknown, over or another
                page's; which of these is not told.
        """
        digest = _digest(headers.only(TICKET_HEADER))
        with self._lock:
            self._forget_expired()
            held = self._held.get(digest)
            if held is None or held.origin != headers.text(b"origin"):
                detail = "this ticket is not good here, or not any more"
                raise TicketRefused(401, "unauthorized", detail)
            held.expires = self._clock() + TICKET_LIFE
            return held


def _nothing() -> None:
    pass


def new_ticket() -> str:
    """A random ticket of 256 bits."""
    return secrets.token_urlsafe(32)


def _digest(secret: bytes) -> bytes:
    # Of 256 random bits: no salt and no slow hash is needed, and comparing digests by
    # a dictionary tells nothing about the ticket.
    return hashlib.sha256(secret).digest()
