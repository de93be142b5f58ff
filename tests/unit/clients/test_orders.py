"""Checkout and status over a real socket: what may be believed, and what was certainly not sent."""

from __future__ import annotations

import json
import socket
import time
from datetime import timedelta
from typing import Any

import pytest

from sat_hook.domain.ports import SendWindow
from sat_hook.protocol.endpoints import Environment
from sat_hook.protocol.errors import (
    InvalidRequestIdError,
    NeverSentError,
    OrderNotFoundError,
    OutcomeUnknownError,
    ProductNotFoundError,
    ReplyMismatchError,
    SendWindowPassedError,
    UnverifiedReplyError,
    WrongEnvironmentError,
)
from sat_hook.protocol.messages import OrderRequest, encode_order
from sat_hook.protocol.outcomes import CheckoutVerdict, StatusVerdict, UnknownReason
from tests.scripted_sat import (
    ScriptedSAT,
    drip,
    errors_answer,
    hang_up,
    http_answer,
    json_answer,
    order_document,
    signed_answer,
    stay_silent,
)
from tests.unit.clients.conftest import MakeSettings

ORDER = OrderRequest(
    request_id="ORDER1", product_code="pln-postpaid", client_number="002121212", amount_rupiah=12500
)
BODY = encode_order(ORDER)


def test_checkout_is_accepted(client: Any, sat: ScriptedSAT) -> None:
    """A readable 200 about our order is an acceptance, whatever status it claims."""
    sat.script["/v2/order"] = json_answer(order_document("ORDER1", "Success"))
    outcome = client.place_order(BODY, "ORDER1", None)
    assert outcome.verdict is CheckoutVerdict.ACCEPTED
    assert (outcome.reported_status, outcome.sales_price_rupiah) == ("Success", 12500)
    assert outcome.partner_fee_rupiah == 1000


def test_bytes_that_are_signed_differ_from_bytes_that_are_sent(
    client: Any, sat: ScriptedSAT, keys: Any
) -> None:
    """The server gets the recorded bytes, spaces, newline and all, and the signature fits those."""
    sat.script["/v2/order"] = json_answer(order_document("ORDER1"))
    body = json.dumps(json.loads(BODY), indent=1).encode() + b"\n"
    client.place_order(body, "ORDER1", None)
    (request,) = sat.requests_to("/v2/order")
    assert request.body == body
    keys.partner_verifier.verify(request.body, request.headers["signature"])


def test_headers_are_missing_or_local(client: Any, sat: ScriptedSAT) -> None:
    """Accept, Content-Type on POST, Date in UTC, bearer token; no content type on GET."""
    sat.script["/v2/order"] = json_answer(order_document("ORDER1"))
    sat.script["/ping"] = json_answer({"sandbox": True, "status": "ok", "buildhash": "b05b97a"})
    client.place_order(BODY, "ORDER1", None)
    client.ping()
    post, get = sat.requests_to("/v2/order")[0].headers, sat.requests_to("/ping")[0].headers
    assert post["content-type"] == post["accept"] == "application/json"
    assert post["date"] == get["date"] == "Sun, 22 Nov 2026 17:30:05 GMT"
    assert post["authorization"] == "Bearer c:token-1"
    assert "content-type" not in get
    assert "signature" not in get


def test_redirect_of_a_checkout_is_followed(client: Any, sat: ScriptedSAT) -> None:
    """A 302 proves nothing about the order, and is not followed."""
    sat.script["/v2/order"] = http_answer(302, b"", Location="/api/elsewhere")
    sat.script["/elsewhere"] = json_answer(order_document("ORDER1", "Success"))
    outcome = client.place_order(BODY, "ORDER1", None)
    assert (outcome.verdict, outcome.reason) == (CheckoutVerdict.UNKNOWN, UnknownReason.REDIRECT)
    assert not sat.requests_to("/elsewhere")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(stay_silent, UnknownReason.TIMEOUT, id="silence"),
        pytest.param(hang_up, UnknownReason.CONNECTION_RESET, id="reset"),
        pytest.param(http_answer(401, b"{}"), UnknownReason.HTTP_401, id="401"),
        pytest.param(http_answer(403, b"<html>"), UnknownReason.HTTP_403, id="403"),
        pytest.param(http_answer(429, b"<html>"), UnknownReason.HTTP_429, id="429"),
        pytest.param(http_answer(502, b"<html>"), UnknownReason.SERVER_ERROR, id="502"),
        pytest.param(errors_answer("S00", status=500), UnknownReason.SERVER_ERROR, id="S00"),
        pytest.param(errors_answer("P03"), UnknownReason.DUPLICATE_REQUEST_ID, id="P03"),
        pytest.param(errors_answer("P04", "P99"), UnknownReason.UNLISTED_CODE, id="P04-and-P99"),
        pytest.param(json_answer({"error": "x"}, 400), UnknownReason.UNREADABLE, id="foreign-400"),
        pytest.param(json_answer({}), UnknownReason.UNREADABLE, id="200-without-data"),
        pytest.param(json_answer(order_document("OTHER")), UnknownReason.ID_MISMATCH, id="other-order"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", UnknownReason.UNREADABLE, id="not-http"),
        pytest.param(http_answer(202, b"{}"), UnknownReason.UNEXPECTED_STATUS, id="202"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{", UnknownReason.TIMEOUT, id="half-a-body"
        ),
    ],
)
def test_lost_or_strange_answer_is_called_a_failure(
    client: Any, impatient: Any, sat: ScriptedSAT, answer: Any, reason: UnknownReason
) -> None:
    """Everything but proof is UNKNOWN with its reason; the checkout leaves once; the pair raises that."""
    client = impatient if reason is UnknownReason.TIMEOUT else client
    sat.script["/v2/order"] = answer
    outcome = client.place_order(BODY, "ORDER1", None)
    assert (outcome.verdict, outcome.reason) == (CheckoutVerdict.UNKNOWN, reason)
    assert len(sat.requests_to("/v2/order")) == 1
    if reason not in (UnknownReason.TIMEOUT,):
        with pytest.raises(OutcomeUnknownError) as caught:
            client.checkout(ORDER)
        assert (caught.value.sent, caught.value.definite, caught.value.retryable) == (True, False, False)
        assert caught.value.reason == reason


def test_listed_rejection(client: Any, sat: ScriptedSAT) -> None:
    """P04 in a 400 is a proof that nothing was ordered."""
    sat.script["/v2/order"] = errors_answer("P04")
    outcome = client.place_order(BODY, "ORDER1", None)
    assert (outcome.verdict, outcome.code) == (CheckoutVerdict.REJECTED, "P04")
    with pytest.raises(ProductNotFoundError) as caught:
        client.checkout(ORDER)
    assert (caught.value.sent, caught.value.definite, caught.value.retryable) == (True, True, False)
    assert (caught.value.codes, caught.value.http_status) == (("P04",), 400)
    assert caught.value.request_id == "ORDER1"


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nX-Slow: ", id="in-the-headers"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", id="in-the-body"),
        pytest.param(
            b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 100000\r\n\r\n", id="in-a-redirect"
        ),
    ],
)
def test_timeout_is_stretched_by_a_dripping_answer(impatient: Any, sat: ScriptedSAT, head: bytes) -> None:
    """A byte now and then keeps no exchange alive beyond its total time."""
    sat.script["/v2/order"] = drip(head)
    began = time.monotonic()
    outcome = impatient.place_order(BODY, "ORDER1", None)
    assert time.monotonic() - began < 19
    assert (outcome.verdict, outcome.reason) == (CheckoutVerdict.UNKNOWN, UnknownReason.TIMEOUT)


def test_answer_without_end_fills_the_memory(
    make_client: Any, settings: MakeSettings, sat: ScriptedSAT
) -> None:
    """An answer longer than allowed is given up; the order is UNKNOWN."""
    client = make_client(settings(max_response_bytes=10_000))
    sat.script["/v2/order"] = http_answer(200, b"x" * 2_000_000)
    outcome = client.place_order(BODY, "ORDER1", None)
    assert outcome.reason == UnknownReason.RESPONSE_TOO_LARGE


def test_closed_port_is_never_sent(make_client: Any, settings: MakeSettings, clock: Any) -> None:
    """A refused connection proves that no byte left, and says so."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    client = make_client(settings(base_url=f"http://127.0.0.1:{port}/api"))
    outcome = client.place_order(BODY, "ORDER1", None)
    assert (outcome.verdict, outcome.reason) == (CheckoutVerdict.NOT_SENT, "connection_refused")
    with pytest.raises(NeverSentError) as caught:
        client.checkout(ORDER)
    assert (caught.value.sent, caught.value.retryable) == (False, True)


def test_unknown_host_is_never_sent(
    make_client: Any, settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that does not resolve proves that no byte left."""
    resolve = socket.getaddrinfo

    def without_network(host: Any, *more: Any, **options: Any) -> Any:
        if host in ("sat.invalid", b"sat.invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve(host, *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", without_network)
    client = make_client(settings(base_url="http://sat.invalid/api"))
    outcome = client.place_order(BODY, "ORDER1", None)
    assert (outcome.verdict, outcome.reason) == (CheckoutVerdict.NOT_SENT, "dns")


def test_peer_that_speaks_no_tls_is_never_sent(
    make_client: Any, settings: MakeSettings, sat: ScriptedSAT
) -> None:
    """A failed handshake proves that no byte of the request left."""
    client = make_client(settings(base_url=f"https://127.0.0.1:{sat.port}/api", total_timeout_seconds=1.0))
    outcome = client.place_order(BODY, "ORDER1", None)
    assert outcome.verdict is CheckoutVerdict.NOT_SENT
    assert not sat.requests_to("/v2/order")


def opening_now(clock: Any) -> SendWindow:
    """A window of 30 seconds on both clocks."""
    return SendWindow(clock.now() + timedelta(seconds=30), clock.boottime_seconds() + 30)


def test_order_is_sent_after_its_window(client: Any, sat: ScriptedSAT, clock: Any) -> None:
    """A window that has passed on the wall clock keeps the order here."""
    window = opening_now(clock)
    clock.advance(31)
    outcome = client.place_order(BODY, "ORDER1", window)
    assert (outcome.verdict, outcome.reason) == (CheckoutVerdict.NOT_SENT, "send_window_passed")
    assert not sat.requests_to("/v2/order")


def test_order_is_sent_after_the_machine_slept(client: Any, sat: ScriptedSAT, clock: Any) -> None:
    """The wall clock may be set back; the clock that counts sleep still closes the window."""
    window = opening_now(clock)
    clock.advance(31)
    clock.set_back(3600)
    assert client.place_order(BODY, "ORDER1", window).verdict is CheckoutVerdict.NOT_SENT
    assert not sat.requests_to("/v2/order")


def test_window_is_checked_before_the_connection_only(
    make_client: Any, settings: MakeSettings, sat: ScriptedSAT, clock: Any
) -> None:
    """A window that closes while the connection is made is noticed: it stands, and nothing is sent."""

    class ClockOfConnections:
        """Time stands still until SAT has seen a second connection, the first being the token's."""

        def now(self) -> Any:
            return clock.now()

        def boottime_seconds(self) -> float:
            end = time.monotonic() + 0.5
            while sat.connections < 2 and time.monotonic() < end:
                time.sleep(0.005)
            return float(clock.boottime_seconds() + (100 if sat.connections >= 2 else 0))

    apart = settings(token_url=sat.token_url.replace("127.0.0.1", "localhost"))
    client = make_client(apart, clock=ClockOfConnections())
    outcome = client.place_order(BODY, "ORDER1", opening_now(clock))
    assert (outcome.verdict, outcome.reason) == (CheckoutVerdict.NOT_SENT, "send_window_passed")
    assert sat.connections == 2
    assert not sat.requests_to("/v2/order")


def test_window_closes_while_waiting_for_admission(
    make_client: Any, settings: MakeSettings, sat: ScriptedSAT, clock: Any
) -> None:
    """The check is the last thing before writing, also on a connection that was kept."""

    class TickingClock:
        """Every look costs a second; the last look is the one before writing."""

        def now(self) -> Any:
            return clock.now()

        def boottime_seconds(self) -> float:
            clock.advance(1)
            return float(clock.boottime_seconds())

    sat.script["/ping"] = json_answer({"status": "ok"})
    client = make_client(settings(), clock=TickingClock())
    client.ping()
    window = SendWindow(clock.now() + timedelta(hours=1), clock.boottime_seconds() + 2)
    assert client.place_order(BODY, "ORDER1", window).reason == "send_window_passed"
    assert not sat.requests_to("/v2/order")
    assert client.ping().status == "ok"


def test_window_raises_for_people(client: Any, sat: ScriptedSAT) -> None:
    """SendWindowPassedError belongs to the never-sent family and is not retryable."""
    assert issubclass(SendWindowPassedError, NeverSentError)
    assert not SendWindowPassedError("x").retryable


def test_missing_private_key_is_never_sent(
    make_client: Any, settings: MakeSettings, sat: ScriptedSAT
) -> None:
    """Without a key nothing is sent, and questions still work."""
    client = make_client(settings(signer=None))
    sat.script["/ping"] = json_answer({"sandbox": True})
    assert client.place_order(BODY, "ORDER1", None).reason == "key_missing"
    assert client.ping().sandbox is True


def test_signed_status_is_believed(client: Any, sat: ScriptedSAT, keys: Any) -> None:
    """A signed status about our order comes with its exact text as evidence."""
    body = (
        b'{"data": {"id":"ORDER1","type":"order",\n'
        b'"attributes":{"status":"Success","client_name":"Bu\xc3\xa9"}}}\n'
    )
    sat.script["/v2/order/ORDER1"] = signed_answer(keys.sat, body, content_type="text/plain")
    outcome = client.ask_status("ORDER1")
    assert outcome.verdict is StatusVerdict.SIGNED
    assert outcome.detail.status == "Success"
    assert outcome.evidence_body == body.decode()
    assert keys.sat_verifier.verify(body, outcome.signature) == outcome.key_fingerprint


def test_status_with_a_bad_signature_is_believed(client: Any, sat: ScriptedSAT, keys: Any) -> None:
    """Neither a missing nor a foreign signature, nor one over other bytes, ends an order."""
    document = order_document("ORDER1", "Failed")
    body = json.dumps(document).encode()
    path = "/v2/order/ORDER1"
    sat.script[path] = [
        json_answer(document),
        http_answer(200, body, signature=keys.partner.sign(body)),
        http_answer(200, body, signature=keys.sat.sign(body + b"\n")),
        http_answer(200, body, signature="%%%"),
    ]
    reasons = [client.ask_status("ORDER1").reason for _ in range(4)]
    assert reasons == [UnknownReason.SIGNATURE_MISSING] + [UnknownReason.SIGNATURE_INVALID] * 3
    with pytest.raises(UnverifiedReplyError):
        client.check_status("ORDER1")


def test_status_of_another_order_is_believed(client: Any, sat: ScriptedSAT, keys: Any) -> None:
    """A genuine signature about another order says nothing about ours."""
    sat.script["/v2/order/ORDER1"] = signed_answer(keys.sat, order_document("ORDER2", "Success"))
    assert client.ask_status("ORDER1").reason == UnknownReason.ID_MISMATCH
    with pytest.raises(ReplyMismatchError):
        client.check_status("ORDER1")


ABOUT_ANOTHER = [
    pytest.param({"product_code": "pln-prepaid"}, id="product"),
    pytest.param({"client_number": "02121212"}, id="number"),
    pytest.param({"client_number": "0021*****9"}, id="masked number"),
]


@pytest.mark.parametrize("told", ABOUT_ANOTHER)
def test_reply_about_another_order_is_an_acceptance(
    client: Any, sat: ScriptedSAT, told: dict[str, str]
) -> None:
    """Our id with another product or number is UNKNOWN for the caller of checkout."""
    sat.script["/v2/order"] = json_answer(order_document("ORDER1", "Success", **told))
    with pytest.raises(OutcomeUnknownError) as caught:
        client.checkout(ORDER)
    assert (caught.value.sent, caught.value.definite) == (True, False)
    assert caught.value.reason == UnknownReason.ORDER_MISMATCH
    assert caught.value.request_id == "ORDER1"


def test_form_of_a_number_makes_another_order(client: Any, sat: ScriptedSAT, keys: Any) -> None:
    """Case, separators and masks do not, at checkout and at its status."""
    told = {"product_code": "PLN-Postpaid ", "client_number": "0021-21212"}
    sat.script["/v2/order"] = json_answer(order_document("ORDER1", **told))
    sat.script["/v2/order/ORDER1"] = signed_answer(
        keys.sat, order_document("ORDER1", "Success", client_number="0021***12")
    )
    assert client.checkout(ORDER).status == "Pending"
    assert client.check_status("ORDER1", ORDER).status == "Success"


@pytest.mark.parametrize("told", ABOUT_ANOTHER)
def test_status_about_another_order_ends_ours(
    client: Any, sat: ScriptedSAT, keys: Any, told: dict[str, str]
) -> None:
    """Who says what was ordered is not given a signed Success about something else."""
    sat.script["/v2/order/ORDER1"] = signed_answer(keys.sat, order_document("ORDER1", "Success", **told))
    with pytest.raises(ReplyMismatchError) as caught:
        client.check_status("ORDER1", ORDER)
    assert caught.value.request_id == "ORDER1"
    assert "2121212" not in str(caught.value)


def test_unknown_order_is_called_failed(client: Any, sat: ScriptedSAT) -> None:
    """P02 is NOT_FOUND: retryable, not definite."""
    sat.script["/v2/order/ORDER1"] = errors_answer("P02")
    assert client.ask_status("ORDER1").verdict is StatusVerdict.NOT_FOUND
    with pytest.raises(OrderNotFoundError) as caught:
        client.check_status("ORDER1")
    assert (caught.value.definite, caught.value.retryable) == (False, True)


def test_request_id_changes_the_path(client: Any, sat: ScriptedSAT, keys: Any) -> None:
    """An id with slashes, dots and a question mark arrives as one segment; dots alone are refused."""
    nasty = "a/../../v2/account?x=1#y %2F"
    path = "/v2/order/a%2F..%2F..%2Fv2%2Faccount%3Fx%3D1%23y%20%252F"
    sat.script[path] = signed_answer(keys.sat, order_document(nasty, "Pending"))
    assert client.ask_status(nasty).verdict is StatusVerdict.SIGNED
    assert [request.target for request in sat.received[1:]] == [f"/api{path}"]
    for dots in ("", ".", "..", "x" * 65):
        with pytest.raises(InvalidRequestIdError):
            client.ask_status(dots)


def test_production_orders_go_to_a_sandbox(
    make_client: Any, settings: MakeSettings, sat: ScriptedSAT, monkeypatch: Any
) -> None:
    """Before the first order the ping must agree with the environment; afterwards it is not asked again."""
    production = settings()
    object.__setattr__(production, "environment", Environment.PRODUCTION)
    sat.script["/v2/order"] = json_answer(order_document("ORDER1"))
    sat.script["/ping"] = [http_answer(502), json_answer({"sandbox": True}), json_answer({"sandbox": False})]
    client = make_client(production)
    assert client.place_order(BODY, "ORDER1", None).reason == "ping_failed"
    with pytest.raises(WrongEnvironmentError):
        client.checkout(ORDER)
    assert not sat.requests_to("/v2/order")
    for _ in range(2):
        assert client.place_order(BODY, "ORDER1", None).verdict is CheckoutVerdict.ACCEPTED
    assert len(sat.requests_to("/ping")) == 3


def test_closed_client_is_never_sent(client: Any, sat: ScriptedSAT) -> None:
    """After close() nothing leaves, and that is an outcome, not a crash."""
    client.close()
    assert client.place_order(BODY, "ORDER1", None).verdict is CheckoutVerdict.NOT_SENT
