"""Requests, responses and faults as plain values: no sockets, no clock.

A transport turns a :class:`WireRequest` into a :class:`WireResponse` or a :class:`TransportFault`, and
returns nothing else.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache

_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class WireRequest:
    """One HTTP request, complete except for its address.

    :param path: below the base URL, already percent-encoded, starting with ``/``.
    :param query: names and values, not yet encoded.
    :param headers: may hold the bearer token and the signature, so they are never printed.
    :param body: exactly the bytes that are signed and sent; empty for GET.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class WireResponse:
    """One complete HTTP response.

    :param headers: lower-case names.
    :param body: the bytes after content-decoding, which is what the signature covers (protocol section 7).
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def digest(self) -> str:
        """SHA-256 of the body in hexadecimal."""
        return hashlib.sha256(self.body).hexdigest()


class FaultKind(StrEnum):
    """Why there is no response."""

    DNS = "dns"
    CONNECTION_REFUSED = "connection_refused"
    CONNECT_TIMEOUT = "connect_timeout"
    CONNECT_FAILED = "connect_failed"
    TLS = "tls"
    PROXY = "proxy"
    SEND_WINDOW_PASSED = "send_window_passed"
    SENDING_STOPPED = "sending_stopped"
    TOKEN_UNAVAILABLE = "token_unavailable"  # noqa: S105 - a reason, no password
    CREDENTIALS_REFUSED = "credentials_refused"
    PING_FAILED = "ping_failed"
    WRONG_ENVIRONMENT = "wrong_environment"
    LIMITER = "limiter"
    KEY_MISSING = "key_missing"
    CLIENT_CLOSED = "client_closed"
    TIMEOUT = "timeout"
    CONNECTION_RESET = "connection_reset"
    MALFORMED_RESPONSE = "malformed_response"
    RESPONSE_TOO_LARGE = "response_too_large"
    UNEXPECTED = "unexpected"


@dataclass(frozen=True, slots=True)
class TransportFault:
    """A request that has no response.

    :param sent: False only if provably not one byte of the request was written; when in doubt, True.
    :param detail: one readable sentence; no secrets, no bodies.
    """

    kind: FaultKind
    sent: bool
    detail: str

    def __post_init__(self) -> None:
        if not self.sent and self.kind in SENT_FAULTS:
            raise ValueError(f"a fault of kind {self.kind.value} cannot be called never sent")


SENT_FAULTS = frozenset({FaultKind.RESPONSE_TOO_LARGE, FaultKind.MALFORMED_RESPONSE})
"""Faults that happen while a response is read, and so prove that the request was sent."""


def outcome_of(reply: WireResponse | TransportFault) -> str:
    """How an exchange ended, in one word: ``http_200``, or the kind of its fault."""
    return f"http_{reply.status}" if isinstance(reply, WireResponse) else reply.kind.value


def http_date(now: datetime) -> str:
    """RFC 1123 date in UTC, with English names in every locale (``Date`` header, protocol section 3).

    :param now: aware; naive datetimes are refused because their zone would be a guess.
    """
    if now.tzinfo is None:
        raise ValueError("the Date header needs an aware datetime")
    return _http_date_of(math.floor(now.timestamp()))


@lru_cache(maxsize=4)
def _http_date_of(second: int) -> str:
    # Cached: hundreds of requests are sent in the same second.
    utc = datetime.fromtimestamp(second, UTC)
    return (
        f"{_WEEKDAYS[utc.weekday()]}, {utc.day:02d} {_MONTHS[utc.month - 1]} {utc.year:04d} "
        f"{utc.hour:02d}:{utc.minute:02d}:{utc.second:02d} GMT"
    )
