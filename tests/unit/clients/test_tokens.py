"""The access token over a real socket: early, once, and never thrown away too soon."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest

from sat_hook.protocol.errors import (
    CredentialsRefusedError,
    RefusedError,
    TokenUnavailableError,
    UnexpectedReplyError,
)
from sat_hook.protocol.messages import InquiryRequest, OrderRequest, encode_order
from sat_hook.protocol.outcomes import CheckoutVerdict
from tests.scripted_sat import (
    ScriptedSAT,
    drip,
    errors_answer,
    hang_up,
    http_answer,
    json_answer,
    order_document,
)
from tests.unit.clients.conftest import MakeSettings

PING = json_answer({"sandbox": True, "status": "ok"})
UNAUTHORIZED = json_answer({"error": "invalid_token"}, 401)
BODY = encode_order(OrderRequest(request_id="ORDER1", product_code="p", client_number="1"))


@pytest.fixture(autouse=True)
def _pings(sat: ScriptedSAT) -> None:
    """SAT answers every ping."""
    sat.script["/ping"] = PING


def tokens_used(sat: ScriptedSAT, path: str = "/ping") -> list[str]:
    """The last characters of the bearer tokens that came with requests to ``path``."""
    return [request.headers["authorization"].rpartition("-")[2] for request in sat.requests_to(path)]


def test_token_request_is_the_documented_one(client: Any, sat: ScriptedSAT) -> None:
    """Form-encoded client credentials, HTTP Basic with the raw id and secret."""
    client.ping()
    (request,) = sat.token_requests
    assert request.method == "POST"
    assert request.body == b"grant_type=client_credentials"
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    basic = request.headers["authorization"].removeprefix("Basic ")
    assert base64.b64decode(basic) == b"demo:s3cret-of-demo"


def test_token_is_fetched_for_every_call(client: Any, sat: ScriptedSAT) -> None:
    """One token serves many calls."""
    for _ in range(3):
        client.ping()
    assert tokens_used(sat) == ["1", "1", "1"]
    assert len(sat.token_requests) == 1


def test_nothing_happens_in_the_constructor(client: Any, sat: ScriptedSAT) -> None:
    """Making a client sends nothing."""
    assert sat.connections == 0


def test_token_is_never_refreshed(client: Any, sat: ScriptedSAT, clock: Any) -> None:
    """Ten minutes before its end the token is renewed; before that it is not."""
    client.ping()
    clock.advance(3600 - 601)
    client.ping()
    assert len(sat.token_requests) == 1
    clock.advance(2)
    client.ping()
    _eventually(lambda: client.ping() and tokens_used(sat)[-1] == "2")
    assert len(sat.token_requests) == 2


def test_expired_token_is_used(client: Any, sat: ScriptedSAT, clock: Any) -> None:
    """After its end a token goes nowhere, even if no renewal was tried before."""
    client.ping()
    clock.advance(3601)
    client.ping()
    assert tokens_used(sat) == ["1", "2"]


def test_every_caller_fetches_a_token_of_its_own(client: Any, sat: ScriptedSAT) -> None:
    """64 callers at once, one token request."""
    sat.token_delay_seconds = 0.1
    client.many(lambda one: one.ping(), 64)
    assert len(sat.requests_to("/ping")) == 64
    assert len(sat.token_requests) == 1


def test_every_caller_waits_for_a_failure_of_its_own(client: Any, sat: ScriptedSAT) -> None:
    """64 callers at once share one failed token request, and each gets the typed error."""

    async def slow_failure(request: Any, writer: Any) -> None:
        import asyncio

        await asyncio.sleep(0.1)
        writer.write(http_answer(503, b"<html>"))

    sat.script["/token"] = slow_failure

    def attempt(one: Any) -> type[BaseException]:
        try:
            one.ping()
        except TokenUnavailableError as error:
            return type(error)
        return AssertionError

    assert set(client.many(attempt, 64)) == {TokenUnavailableError}
    assert len(sat.token_requests) <= 3
    assert not sat.requests_to("/ping")


def test_old_token_is_thrown_away_when_renewal_fails(client: Any, sat: ScriptedSAT, clock: Any) -> None:
    """The old token is good until its own end; failed renewals are spaced, not repeated for every call."""
    client.ping()
    sat.script["/token"] = http_answer(503, b"<html>")
    clock.advance(3600 - 300)
    for _ in range(5):
        client.ping()
    assert tokens_used(sat) == ["1"] * 6
    _eventually(lambda: len(sat.token_requests) == 2)
    clock.advance(301)
    with pytest.raises(TokenUnavailableError) as caught:
        client.ping()
    assert (caught.value.sent, caught.value.definite) == (False, True)
    sat.script.pop("/token")
    client.ping()
    assert tokens_used(sat)[-1] == "2"


def test_unchanged_token_causes_a_loop(client: Any, sat: ScriptedSAT, clock: Any) -> None:
    """A renewal that returns the same token with the rest of its life is accepted as such."""
    sat.is_reusing_token = True
    client.ping()
    clock.advance(3600 - 500)
    sat.token_lifetime_seconds = 500
    for _ in range(10):
        client.ping()
    _eventually(lambda: len(sat.token_requests) == 2)
    clock.advance(400)
    client.ping()
    assert set(tokens_used(sat)) == {"1"}


@pytest.mark.parametrize("lifetime", [None, 30, "3600", 2592000, 10**30])
def test_lifetime_is_whatever_the_reply_says(client: Any, sat: ScriptedSAT, lifetime: Any) -> None:
    """Absent, short, as text or very long: no crash and no token request for every call."""
    sat.token_lifetime_seconds = lifetime
    client.ping()
    client.ping()
    assert len(sat.token_requests) == 1


def test_401_is_not_retried(client: Any, sat: ScriptedSAT) -> None:
    """A question answered 401 is asked once more with a new token."""
    sat.script["/ping"] = [UNAUTHORIZED, PING]
    assert client.ping().sandbox is True
    assert tokens_used(sat) == ["1", "2"]


def test_401_is_retried_for_ever(client: Any, sat: ScriptedSAT) -> None:
    """A second 401 is the answer."""
    sat.script["/ping"] = UNAUTHORIZED
    with pytest.raises(UnexpectedReplyError) as caught:
        client.ping()
    assert caught.value.http_status == 401
    assert tokens_used(sat) == ["1", "2"]


def test_401_storm_becomes_a_token_storm(client: Any, sat: ScriptedSAT, clock: Any) -> None:
    """However many calls are answered 401, the token server is asked about once a second."""
    sat.script["/ping"] = UNAUTHORIZED
    for _ in range(20):
        with pytest.raises(UnexpectedReplyError):
            client.ping()
    assert len(sat.token_requests) <= 3


def test_401_throws_the_old_token_away(client: Any, sat: ScriptedSAT) -> None:
    """If no other token can be had, the old one stays: the 401 may have been a passing one."""
    client.ping()
    sat.script["/token"] = http_answer(503, b"<html>")
    sat.script["/ping"] = [UNAUTHORIZED, PING]
    with pytest.raises(UnexpectedReplyError):
        client.ping()
    assert client.ping().sandbox is True
    assert tokens_used(sat) == ["1", "1", "1"]


def test_401_of_a_checkout_is_retried(client: Any, sat: ScriptedSAT) -> None:
    """A checkout leaves once, whatever the answer; the token is renewed for the next call."""
    sat.script["/v2/order"] = [UNAUTHORIZED, json_answer(order_document("ORDER1"))]
    outcome = client.place_order(BODY, "ORDER1", None)
    assert (outcome.verdict, outcome.reason) == (CheckoutVerdict.UNKNOWN, "http_401")
    assert tokens_used(sat, "/v2/order") == ["1"]
    client.ping()
    _eventually(lambda: client.ping() and tokens_used(sat)[-1] == "2")


def test_401_of_an_inquiry_is_retried(client: Any, sat: ScriptedSAT) -> None:
    """Only GETs are asked again."""
    sat.script["/v2/inquiry"] = errors_answer("U00", status=401)
    with pytest.raises(RefusedError):
        client.inquiry(InquiryRequest(product_code="p", client_number="1"))
    assert len(sat.requests_to("/v2/inquiry")) == 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (json_answer({"error": "invalid_client"}, 401), CredentialsRefusedError),
        (json_answer({"error": "invalid_client"}, 400), CredentialsRefusedError),
        (json_answer({"error": "invalid_request"}, 400), TokenUnavailableError),
        (http_answer(302, b"", Location="/api/ping"), TokenUnavailableError),
        (http_answer(200, b"<html>"), TokenUnavailableError),
        (json_answer({"access_token": ""}), TokenUnavailableError),
        (json_answer({"access_token": "a\r\nX-Evil: 1"}), TokenUnavailableError),
        (json_answer({"access_token": "a", "token_type": "mac"}), TokenUnavailableError),
        (json_answer({"access_token": "a", "expires_in": -1}), TokenUnavailableError),
        (json_answer(["a"]), TokenUnavailableError),
        (hang_up, TokenUnavailableError),
    ],
)
def test_token_trouble_is_a_never_sent_order(
    client: Any, sat: ScriptedSAT, answer: Any, error: type[Exception]
) -> None:
    """Without a token nothing is sent, and the error says so by its type."""
    sat.script["/token"] = answer
    with pytest.raises(error) as caught:
        client.ping()
    assert type(caught.value) is error
    assert "token-" not in str(caught.value)
    assert client.place_order(BODY, "ORDER1", None).verdict is CheckoutVerdict.NOT_SENT
    assert not sat.requests_to("/v2/order")


def test_token_that_never_ends_is_waited_for(newly_impatient: Any, sat: ScriptedSAT) -> None:
    """A token answer that drips is given up in time, and nothing is sent."""
    sat.script["/token"] = drip(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
    with pytest.raises(TokenUnavailableError):
        newly_impatient.ping()
    assert newly_impatient.place_order(BODY, "ORDER1", None).verdict is CheckoutVerdict.NOT_SENT
    assert not sat.requests_to("/v2/order")


def test_clients_share_a_token(make_client: Any, settings: MakeSettings, sat: ScriptedSAT) -> None:
    """Two clients in one process send their own credentials and their own tokens."""
    first, second = make_client(settings()), make_client(settings(account="two", client_id="other"))
    first.ping()
    second.ping()
    first.ping()
    assert tokens_used(sat) == ["1", "2", "1"]
    basics = [request.headers["authorization"].removeprefix("Basic ") for request in sat.token_requests]
    assert [base64.b64decode(basic).partition(b":")[0] for basic in basics] == [b"demo", b"other"]


def test_closing_cancels_the_callers(newly_impatient: Any, sat: ScriptedSAT) -> None:
    """A client that is closed while a token is awaited ends the waiting call with its own type of error."""
    import threading
    import time

    sat.script["/token"] = drip(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
    closing = threading.Thread(target=lambda: (time.sleep(0.1), newly_impatient.close()))
    closing.start()
    with pytest.raises(TokenUnavailableError):
        newly_impatient.ping()
    closing.join()


def _eventually(condition: Callable[[], Any]) -> None:
    """The asynchronous client renews beside its calls, so a moment may pass."""
    import time

    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)
