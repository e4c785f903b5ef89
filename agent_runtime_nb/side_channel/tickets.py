"""Tickets: what one page may do over HTTP beside the widget channel, and nothing more.

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
from typing import Any, TypeAlias

from agent_runtime_nb._base.request_headers import RequestHeaders
from agent_runtime_nb.runtime_abstractions import ActorId

TICKET_LIFE = 150.0
"""Seconds that a ticket lives after it was given or renewed."""

TICKET_HEADER = b"x-agent-ticket"
TICKET_PATHS = "/tickets/"
HELLO_PATH = "/tickets/hello"
"""Needs no ticket: a page checks there which server it is before it sends its ticket."""

Deliver: TypeAlias = Callable[[ActorId, Mapping[str, Any]], Awaitable[bool]]
"""Takes a message of a page; returns whether it was for that conversation.

Called on the server's loop. Raises `AgentRuntimeError` if it cannot be taken.
"""

_PREFLIGHT = [
    (b"access-control-allow-methods", b"POST"),
    (b"access-control-allow-headers", b"content-type, " + TICKET_HEADER),
    (b"access-control-max-age", b"60"),
]
_ALLOWED_HEADERS = frozenset({"content-type", TICKET_HEADER.decode()})

_log = logging.getLogger(__name__)


class TicketRefused(Exception):
    """A request of a page is refused.

    Attributes:
        status: the HTTP status to answer with.
        slug: of the problem's type.
    """

    def __init__(self, status: int, slug: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.slug = slug


@dataclass(slots=True)
class TicketRecord:
    """What the server keeps of a ticket: all but the ticket itself.

    Attributes:
        actor_id: the conversation that it is for.
        origin: of the page that it was given to.
        deliver: takes the messages of the page.
        expires: by the clock of the `Tickets`.
    """

    actor_id: ActorId
    origin: str
    deliver: Deliver
    expires: float


class Ticket:
    """A ticket as its issuer holds it; any thread. In no repr and no log."""

    def __init__(self, tickets: "Tickets", secret: str) -> None:
        self._tickets = tickets
        self.secret = secret

    def renew(self) -> bool:
        """Extend its life; returns False if it has ended."""
        return self._tickets.renew(_digest(self.secret.encode()))

    def revoke(self) -> None:
        """End it now; idempotent."""
        self._tickets.revoke(_digest(self.secret.encode()))


class Tickets:
    """All tickets of one server; any thread.

    Args:
        clock: gives seconds.

    Attributes:
        server: a random id of the server; no secret.
        is_open: whether the server accepts tickets now.
        on_change: called, on any thread, when `is_open` changes or all tickets have
            ended; what it raises is logged.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.server = secrets.token_hex(8)
        self.is_open = False
        self.on_change: Callable[[], None] = _do_nothing
        self._clock = clock
        self._lock = threading.Lock()
        self._records: dict[bytes, TicketRecord] = {}

    def issue(self, actor_id: ActorId, origin: str, deliver: Deliver) -> Ticket:
        """A new ticket for the page at `origin`, for one conversation."""
        secret = new_ticket()
        with self._lock:
            self._forget_expired()
            self._records[_digest(secret.encode())] = TicketRecord(
                actor_id, origin.casefold(), deliver, self._clock() + TICKET_LIFE
            )
        return Ticket(self, secret)

    def renew(self, digest: bytes) -> bool:
        """Extend a ticket's life; returns False if it has ended."""
        with self._lock:
            self._forget_expired()
            record = self._records.get(digest)
            if record is not None:
                record.expires = self._clock() + TICKET_LIFE
            return record is not None

    def revoke(self, digest: bytes) -> None:
        """End a ticket; idempotent."""
        with self._lock:
            self._records.pop(digest, None)

    def open(self) -> None:
        """The server accepts tickets from now on."""
        self.is_open = True
        self._notify()

    def close(self) -> None:
        """The server stops, and all tickets end."""
        self.is_open = False
        self.revoke_all()

    def revoke_all(self) -> None:
        """End them all; a panel that still needs one has a new one issued."""
        with self._lock:
            self._records.clear()
        self._notify()

    def _notify(self) -> None:
        try:
            self.on_change()
        except Exception:
            _log.exception("on_change of the tickets failed")

    def _forget_expired(self) -> None:
        now = self._clock()
        for digest, record in list(self._records.items()):
            if record.expires <= now:
                del self._records[digest]

    # --- for the guard -----------------------------------------------------------------

    def cors_headers(self, headers: RequestHeaders) -> list[tuple[bytes, bytes]]:
        """The headers that let the page read the response.

        Raises:
            TicketRefused: with 403 unless exactly this origin was given a ticket that lives.
        """
        origin = headers.text(b"origin")
        with self._lock:
            self._forget_expired()
            known = any(record.origin == origin for record in self._records.values())
        if not origin or not known:
            detail = "no ticket was given to a page of this Origin"
            raise TicketRefused(403, "foreign-origin", detail)
        allowed = (b"access-control-allow-origin", headers.only(b"origin"))
        return [allowed, (b"vary", b"Origin")]

    def preflight_headers(self, headers: RequestHeaders) -> list[tuple[bytes, bytes]]:
        """The further headers for a browser's preflight request.

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
        """The record of a request's ticket, whose life is extended.

        Raises:
            TicketRefused: with 401 if there is none, or it is unknown, expired or another
                page's; the error is the same for all of these.
        """
        digest = _digest(headers.only(TICKET_HEADER))
        with self._lock:
            self._forget_expired()
            record = self._records.get(digest)
            if record is None or record.origin != headers.text(b"origin"):
                detail = "this ticket is not good here, or not any more"
                raise TicketRefused(401, "unauthorized", detail)
            record.expires = self._clock() + TICKET_LIFE
            return record


def _do_nothing() -> None:
    pass


def new_ticket() -> str:
    """A random ticket of 256 bits."""
    return secrets.token_urlsafe(32)


def _digest(secret: bytes) -> bytes:
    # Of 256 random bits: no salt and no slow hash is needed, and comparing digests by
    # a dictionary tells nothing about the ticket.
    return hashlib.sha256(secret).digest()
