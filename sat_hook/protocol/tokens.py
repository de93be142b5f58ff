"""The OAuth2 client-credentials token (protocol section 2): the request, the reply, and when to renew."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

from sat_hook.protocol.errors import CredentialsRefusedError, TokenUnavailableError, UnreadableReplyError
from sat_hook.protocol.exchange import TransportFault, WireRequest, WireResponse
from sat_hook.protocol.messages import parse_document

RENEW_EARLY_SECONDS = 600.0
"""Renew ten minutes before expiry, as the vendor asks; the old token stays valid until it expires."""
SHORTEST_RENEWAL_SECONDS = 10.0
"""Minimum wait between renewals, so that a short-lived or unchanged token does not cause a renewal loop."""
FORCED_RENEWAL_SPACING_SECONDS = 1.0
"""Minimum wait between renewals forced by HTTP 401, however many requests get one."""
DEFAULT_LIFETIME_SECONDS = 900.0
"""Used when the reply has no ``expires_in`` (seen in one vendor fixture)."""

_LONGEST_LIFETIME_SECONDS = 10 * 365 * 86_400
_LONGEST_TOKEN_CHARACTERS = 8192
_REFUSING_STATUSES = frozenset({400, 401, 403})
_REFUSING_ERRORS = frozenset({"invalid_client", "unauthorized_client", "access_denied"})


@dataclass(frozen=True, slots=True)
class TokenGrant:
    """A token from the token server.

    :param lifetime_seconds: counted from the moment before the request was sent.
    """

    access_token: str = field(repr=False)
    lifetime_seconds: float


def token_request(client_id: str, client_secret: str) -> WireRequest:
    """Build the token request: form-encoded, HTTP Basic with the raw id and secret (the vendor's form)."""
    basic = base64.b64encode(f"{client_id}:{client_secret}".encode()).decode("ascii")
    return WireRequest(
        "POST",
        "",
        headers={
            "Accept": "application/json",
            "Authorization": f"Basic {basic}",
            "Content-Type": "application/x-www-form-urlencoded",
        },
        body=b"grant_type=client_credentials",
    )


def read_token(reply: WireResponse | TransportFault) -> TokenGrant:
    """Read the granted token.

    :raises CredentialsRefusedError: the token server does not accept client id and secret.
    :raises TokenUnavailableError: everything else; the call that needed the token was never sent.
    """
    if isinstance(reply, TransportFault):
        raise TokenUnavailableError(f"the token server gave no answer ({reply.kind.value}): {reply.detail}")
    if reply.status != 200:
        if reply.status in _REFUSING_STATUSES and (reply.status != 400 or _oauth_error(reply)):
            raise CredentialsRefusedError(
                f"the token server refused the client id or its secret (HTTP {reply.status})", response=reply
            )
        raise TokenUnavailableError(
            f"the token server answered HTTP {reply.status} instead of a token", response=reply
        )
    try:
        return parse_token(reply.body)
    except UnreadableReplyError as error:
        # The token server's answer may hold a token, so it is not attached to the error.
        raise TokenUnavailableError(f"the token server's answer is no token: {error}") from None


def parse_token(body: bytes) -> TokenGrant:
    """:raises UnreadableReplyError: when the body is not a bearer token."""
    document = parse_document(body, "the token")
    token = document.get("access_token")
    if not isinstance(token, str) or not token or len(token) > _LONGEST_TOKEN_CHARACTERS:
        raise UnreadableReplyError("the token has no usable 'access_token'")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise UnreadableReplyError("'access_token' has characters that no header may carry")
    kind = document.get("token_type", "bearer")
    if not isinstance(kind, str) or kind.casefold() != "bearer":
        raise UnreadableReplyError("'token_type' is not bearer")
    return TokenGrant(token, _lifetime(document.get("expires_in")))


class TokenState:
    """One account's token and when to renew it. No I/O, no clock, not locked.

    All times are readings of one monotonic clock, in seconds.
    """

    __slots__ = ("_expires_at", "_last_forced_at", "_refused", "_renew_at", "_token")

    def __init__(self) -> None:
        self._token: str | None = None
        self._expires_at = 0.0
        self._renew_at = 0.0
        self._refused = False
        self._last_forced_at: float | None = None

    def usable(self, now: float) -> str | None:
        """The token, until it expires."""
        return self._token if self._token is not None and now < self._expires_at else None

    def is_due(self, now: float) -> bool:
        """True if it is time to request a new token, even if the old one is still usable."""
        if self.usable(now) is None or now >= self._renew_at:
            return True
        return self._refused and self._may_force(now)

    def refuse(self, token: str) -> None:
        """SAT answered 401 to ``token``: request a new one, and keep this one until it arrives."""
        if token == self._token:
            self._refused = True

    def take(self, grant: TokenGrant, asked_at: float) -> None:
        """Store a grant. Its lifetime applies even if the token is unchanged."""
        self._note_forced(asked_at)
        self._refused = self._refused and grant.access_token == self._token
        self._token = grant.access_token
        self._expires_at = asked_at + grant.lifetime_seconds
        if grant.lifetime_seconds > RENEW_EARLY_SECONDS + 60:
            self._renew_at = self._expires_at - RENEW_EARLY_SECONDS
        else:
            self._renew_at = asked_at + max(grant.lifetime_seconds / 2, SHORTEST_RENEWAL_SECONDS)

    def fail(self, asked_at: float) -> None:
        """The renewal failed: keep the old token until it expires, and delay the next attempt."""
        self._note_forced(asked_at)
        self._renew_at = max(self._renew_at, asked_at + SHORTEST_RENEWAL_SECONDS)

    def _may_force(self, now: float) -> bool:
        return self._last_forced_at is None or now >= self._last_forced_at + FORCED_RENEWAL_SPACING_SECONDS

    def _note_forced(self, asked_at: float) -> None:
        if self._refused:
            self._last_forced_at = asked_at

    def __repr__(self) -> str:
        return f"TokenState(has_token={self._token is not None})"


def _lifetime(value: object) -> float:
    if value is None:
        return DEFAULT_LIFETIME_SECONDS
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
        raise UnreadableReplyError("'expires_in' is not a positive number of seconds")
    return float(min(value, _LONGEST_LIFETIME_SECONDS))


def _oauth_error(reply: WireResponse) -> bool:
    try:
        return parse_document(reply.body, "the token error").get("error") in _REFUSING_ERRORS
    except (UnreadableReplyError, TypeError):
        return False
