"""The token's decisions, without a socket: when to renew, what a reply is worth."""

from __future__ import annotations

import pytest

from sat_hook.protocol.errors import CredentialsRefusedError, TokenUnavailableError, UnreadableReplyError
from sat_hook.protocol.exchange import FaultKind, TransportFault, WireResponse
from sat_hook.protocol.tokens import TokenGrant, TokenState, parse_token, read_token


def test_renewal_is_ten_minutes_early() -> None:
    """Due at expiry minus 600 seconds, usable until expiry."""
    state = TokenState()
    assert state.usable(0) is None
    state.take(TokenGrant("a", 3600), asked_at=100)
    assert not state.is_due(3099)
    assert state.is_due(3100)
    assert state.usable(3699) == "a"
    assert state.usable(3700) is None


@pytest.mark.parametrize("lifetime", [600, 60, 10, 1])
def test_short_token_is_renewed_in_a_loop(lifetime: float) -> None:
    """A token that lives less than ten minutes is renewed at half its life."""
    state = TokenState()
    state.take(TokenGrant("a", lifetime), asked_at=0)
    assert not state.is_due(min(lifetime / 2, lifetime - 0.1) - 0.01)
    assert state.is_due(lifetime)


def test_failed_renewal_keeps_the_old_token() -> None:
    """The old token stays to its end, and the next try waits ten seconds."""
    state = TokenState()
    state.take(TokenGrant("a", 3600), asked_at=0)
    state.fail(3000)
    assert state.usable(3001) == "a"
    assert not state.is_due(3009)
    assert state.is_due(3010)


def test_refused_token_is_renewed_once_a_second() -> None:
    """A 401 makes a renewal due now, but not again within a second, and not for a token long replaced."""
    state = TokenState()
    state.take(TokenGrant("a", 3600), asked_at=0)
    state.refuse("older")
    assert not state.is_due(1)
    state.refuse("a")
    assert state.is_due(1)
    state.take(TokenGrant("a", 3600), asked_at=1)
    assert not state.is_due(1.5)
    assert state.is_due(2)
    state.take(TokenGrant("b", 3600), asked_at=2)
    assert not state.is_due(10)


def test_reply_of_the_token_server() -> None:
    """Bearer in any case, life in any spelling, extra members ignored."""
    grant = parse_token(b'{"access_token":"c:x","token_type":"bearer","event_code":"","sq_check":false}')
    assert (grant.access_token, grant.lifetime_seconds) == ("c:x", 900.0)
    assert "c:x" not in repr(grant)
    for body in (
        b"{}",
        b'{"access_token":"a b"}',
        b'{"access_token":"a","expires_in":0}',
        b'{"access_token":7}',
    ):
        with pytest.raises(UnreadableReplyError):
            parse_token(body)


def test_refusal_is_told_from_trouble() -> None:
    """401 and invalid_client are the credentials' fault, a bare 400 or 500 is not."""
    with pytest.raises(CredentialsRefusedError):
        read_token(WireResponse(401, {}, b""))
    for reply in (
        WireResponse(400, {}, b"{}"),
        WireResponse(400, {}, b'{"error":["invalid_client"]}'),
        WireResponse(500, {}, b""),
        TransportFault(FaultKind.TIMEOUT, True, "slow"),
    ):
        with pytest.raises(TokenUnavailableError) as caught:
            read_token(reply)
        assert type(caught.value) is TokenUnavailableError
        assert caught.value.sent is False
