"""Classification: proof or UNKNOWN, and no bytes of the network end in an untyped error."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sat_hook.protocol.calls import (
    Call,
    account_call,
    environment_fault,
    error_of_reply,
    inquiry_call,
    ping_call,
    products_call,
    read_checkout,
    read_reply,
    read_status,
)
from sat_hook.protocol.endpoints import Environment
from sat_hook.protocol.errors import NeverSentError, SATError, TokenUnavailableError, UnreadableReplyError
from sat_hook.protocol.exchange import SENT_FAULTS, FaultKind, TransportFault, WireResponse
from sat_hook.protocol.messages import InquiryRequest, parse_errors, parse_order
from sat_hook.protocol.outcomes import (
    DEFINITE_CHECKOUT_REJECTIONS,
    CheckoutVerdict,
    StatusVerdict,
    UnknownReason,
    classify_checkout,
    classify_status,
)
from sat_hook.protocol.signing import Signer, Verifier, generate_key_pair
from sat_hook.protocol.tokens import read_token
from tests.fuzzing import examples

NOW = datetime(2026, 11, 22, tzinfo=UTC)
CALLS: list[Call[Any]] = [
    ping_call(),
    account_call(),
    products_call(),
    inquiry_call(InquiryRequest(product_code="p", client_number="1")),
]

MEMBERS = (
    *("data", "errors", "type", "id", "attributes", "status", "code", "detail", "saldo", "price"),
    *("sales_price", "product_name", "name", "value", "fields", "fulfilled_at", "error_code"),
    *("inquiry_result", "access_token", "expires_in"),
)
ORDER_MEMBERS = (
    *("status", "sales_price", "partner_fee", "fulfilled_at", "fields", "error_code", "client_name"),
    *("saldo", "price"),
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["P02", "P03", "P04", "R1", "order", "Success", "Pending", "\ud800", "\x00"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(MEMBERS) | st.text(max_size=6), inner, max_size=6)
    ),
    max_leaves=14,
)
ATTRIBUTES = st.dictionaries(
    st.sampled_from(ORDER_MEMBERS),
    JSON | st.just("Pending") | st.just(12500),
    max_size=6,
)
NEARLY = (
    st.fixed_dictionaries(
        {
            "data": st.fixed_dictionaries(
                {},
                optional={
                    "id": st.just("R1") | JSON,
                    "type": st.just("order") | JSON,
                    "attributes": ATTRIBUTES
                    | ATTRIBUTES.map(lambda shown: {**shown, "status": "Pending"})
                    | JSON,
                },
            )
        }
    )
    | st.fixed_dictionaries(
        {
            "errors": st.lists(
                st.fixed_dictionaries({"code": st.sampled_from(["P02", "P03", "P04", "S00"]) | JSON}),
                max_size=3,
            )
        }
    )
    | st.fixed_dictionaries({"access_token": st.text(max_size=9) | JSON, "expires_in": JSON})
)
STATUS = st.sampled_from([200, 200, 200, 400, 400, 401, 302, 500]) | st.integers(100, 599)
HEADERS = st.dictionaries(
    st.sampled_from(["signature", "x-request-id", "content-type"]), st.text(max_size=30), max_size=3
)


def _wire(document: Any) -> bytes:
    return json.dumps(document).encode("utf-8", "surrogatepass")


@pytest.fixture(scope="module")
def sat() -> Signer:
    """SAT's signer."""
    return Signer(generate_key_pair()[0])


@pytest.fixture(scope="module")
def verifier(sat: Signer) -> Verifier:
    """Trusts SAT."""
    return Verifier([sat.public_key_pem()])


def judge(reply: WireResponse, verifier: Verifier) -> None:
    """Every reader of a response either understands it or raises its own type; outcomes hold their law."""
    checkout = classify_checkout(reply, "R1")
    status = classify_status(reply, "R1", verifier)
    if checkout.verdict is CheckoutVerdict.ACCEPTED:
        assert reply.status == 200
        assert parse_order(reply.body).request_id == "R1"
    elif checkout.verdict is CheckoutVerdict.REJECTED:
        assert reply.status == 400
        assert {entry.code for entry in parse_errors(reply.body)} <= DEFINITE_CHECKOUT_REJECTIONS
    else:
        assert checkout.verdict is CheckoutVerdict.UNKNOWN
        assert checkout.reason in set(UnknownReason)
    if status.verdict is StatusVerdict.SIGNED:
        assert status.detail is not None
        assert status.detail.request_id == "R1"
        assert status.evidence_body is not None
        assert verifier.verify(status.evidence_body.encode(), status.signature) == status.key_fingerprint
    else:
        assert (status.detail, status.evidence_body, status.signature) == (None, None, None)
        assert status.verdict is not StatusVerdict.NOT_FOUND or reply.status == 400
    json.dumps([checkout.reason, checkout.code, checkout.detail], ensure_ascii=False).encode()
    readers: list[Callable[[], object]] = [
        lambda: read_checkout(checkout, reply, "R1", NOW),
        lambda: read_status(status, reply, "R1", NOW),
        lambda: read_token(reply),
        lambda: environment_fault(Environment.PRODUCTION, reply),
        *(lambda call=call: read_reply(call, reply, NOW) for call in CALLS),
    ]
    for reader in readers:
        try:
            reader()
        except SATError as raised:
            error = raised
        else:
            continue
        assert error.sent or isinstance(error, TokenUnavailableError)
        assert error.http_status in (reply.status, None)
        repr((error, error.codes))


def every(count: int) -> Callable[[Any], Any]:
    """This many generated bodies a run; each is judged under three statuses."""
    return settings(
        max_examples=examples(count),
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )


@every(250)
@given(STATUS, HEADERS, st.binary(max_size=300))
def test_noise_crashes_the_client(verifier: Verifier, status: int, headers: Any, body: bytes) -> None:
    """Any bytes, as an answer, as a refusal, and under any status."""
    for each in (200, 400, status):
        judge(WireResponse(each, headers, body), verifier)


@every(300)
@given(STATUS, HEADERS, JSON.map(_wire))
def test_strange_json_crashes_the_client(verifier: Verifier, status: int, headers: Any, body: bytes) -> None:
    """Any JSON, built from the protocol's own words."""
    for each in (200, 400, status):
        judge(WireResponse(each, headers, body), verifier)


@every(300)
@given(STATUS, NEARLY.map(_wire))
def test_nearly_right_answer_crashes_the_client(
    sat: Signer, verifier: Verifier, status: int, body: bytes
) -> None:
    """Answers that are almost right, with a genuine signature where a signature counts."""
    for each, headers in ((200, {"signature": sat.sign(body)}), (400, {}), (status, {})):
        judge(WireResponse(each, headers, body), verifier)


@every(200)
@given(st.sampled_from(FaultKind), st.booleans(), st.text(max_size=20))
def test_fault_loses_what_it_knows(kind: FaultKind, sent: bool, detail: str) -> None:
    """A fault that was sent is UNKNOWN, one that provably was not is NOT_SENT, and errors say the same."""
    if not sent and kind in SENT_FAULTS:
        return
    fault = TransportFault(kind, sent, detail)
    outcome = classify_checkout(fault, "R1")
    assert outcome.verdict is (CheckoutVerdict.UNKNOWN if sent else CheckoutVerdict.NOT_SENT)
    assert classify_status(fault, "R1", None).verdict is StatusVerdict.UNREADABLE
    error = error_of_reply(fault, "R1")
    assert error.sent is sent
    assert isinstance(error, NeverSentError) is not sent
    with contextlib.suppress(SATError):
        read_checkout(outcome, fault, "R1", NOW)
        raise AssertionError("a fault was read as an order")


@pytest.mark.parametrize(
    ("status", "body", "verdict", "reason", "code"),
    [
        (200, b'{"data":{"id":"R1","attributes":{"status":"Pending"}}}', "accepted", "accepted", None),
        (200, b'{"data":{"id":"R2","attributes":{"status":"Pending"}}}', "unknown", "id_mismatch", None),
        (200, b'{"data":{"id":"R1","attributes":{}}}', "unknown", "unreadable", None),
        (
            201,
            b'{"data":{"id":"R1","attributes":{"status":"Pending"}}}',
            "unknown",
            "unexpected_status",
            None,
        ),
        (400, b'{"errors":[{"code":"P04"}]}', "rejected", "rejected", "P04"),
        (400, b'{"errors":[{"code":"P04"},{"code":"P04"}]}', "rejected", "rejected", "P04"),
        (400, b'{"errors":[{"code":"P04"},{"code":""}]}', "unknown", "unlisted_code", None),
        (400, b'{"errors":[{"code":"P04"},{"code":"P03"}]}', "unknown", "duplicate_request_id", "P03"),
        (400, b'{"errors":[{"code":"p04"}]}', "unknown", "unlisted_code", "p04"),
        (400, b'{"errors":[{"code":"P02"}]}', "unknown", "unlisted_code", "P02"),
        (400, b"<html>", "unknown", "unreadable", None),
        (404, b'{"errors":[{"code":"P04"}]}', "unknown", "http_404", "P04"),
        (401, b"", "unknown", "http_401", None),
        (408, b"", "unknown", "http_408", None),
        (418, b"", "unknown", "unexpected_status", None),
        (500, b'{"errors":[{"code":"S00"}]}', "unknown", "server_error", "S00"),
    ],
)
def test_checkout_table(status: int, body: bytes, verdict: str, reason: str, code: str | None) -> None:
    """The table of protocol section 8, cell by cell."""
    outcome = classify_checkout(WireResponse(status, {}, body), "R1")
    assert (outcome.verdict, outcome.reason, outcome.code) == (verdict, reason, code)
    assert outcome.http_status == status
    assert outcome.response_digest is not None


@pytest.mark.parametrize(
    ("status", "body", "verdict", "reason"),
    [
        (400, b'{"errors":[{"code":"P02"}]}', "not_found", "not_found"),
        (400, b'{"errors":[{"code":"P02"},{"code":"P99"}]}', "unreadable", "unlisted_code"),
        (404, b'{"errors":[{"code":"P02"}]}', "unreadable", "http_404"),
        (400, b"{}", "unreadable", "unreadable"),
        (200, b'{"data":{"id":"R1","attributes":{"status":"Success"}}}', "unreadable", "signature_missing"),
        (302, b"", "unreadable", "redirect"),
        (503, b"", "unreadable", "server_error"),
    ],
)
def test_status_table(verifier: Verifier, status: int, body: bytes, verdict: str, reason: str) -> None:
    """Only a signature makes a status; only P02 alone makes a not-found."""
    outcome = classify_status(WireResponse(status, {}, body), "R1", verifier)
    assert (outcome.verdict, outcome.reason) == (verdict, reason)


def test_status_without_a_key_is_believed(sat: Signer) -> None:
    """A genuine status cannot be believed by someone who has no key to check it."""
    body = b'{"data":{"id":"R1","attributes":{"status":"Success"}}}'
    reply = WireResponse(200, {"signature": sat.sign(body)}, body)
    assert classify_status(reply, "R1", None).reason == UnknownReason.PUBLIC_KEY_MISSING


def test_long_detail_is_kept_whole() -> None:
    """A text that goes into an event is short, whatever the server wrote."""
    body = json.dumps({"errors": [{"code": "P99", "detail": "x" * 10_000}]}).encode()
    outcome = classify_checkout(WireResponse(400, {}, body), "R1")
    assert outcome.detail == "x" * 500


def test_error_tree_is_typed() -> None:
    """An unreadable answer carries the answer and the order it was about."""
    reply = WireResponse(200, {}, b"{}")
    with pytest.raises(UnreadableReplyError) as caught:
        read_reply(account_call(), reply, NOW)
    assert caught.value.response is reply
