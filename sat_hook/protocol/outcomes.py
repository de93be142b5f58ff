"""What a reply, or a missing reply, proves about an order (protocol section 8). Pure; the rules are tables.

ACCEPTED, REJECTED and NOT_SENT each need proof. Everything else is UNKNOWN: the order may have been charged,
and only its signed status can tell.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from sat_hook.protocol.errors import SignatureInvalidError, SignatureMissingError, UnreadableReplyError
from sat_hook.protocol.exchange import FaultKind, TransportFault, WireResponse
from sat_hook.protocol.messages import ErrorEntry, OrderDetail, UnreadableAmount, parse_errors, parse_order
from sat_hook.protocol.signing import SIGNATURE_HEADER, Verifier

DEFINITE_CHECKOUT_REJECTIONS = frozenset({"P04"})
"""Codes that prove, alone in an HTTP 400, that a checkout was not accepted (P04: no such product)."""

DUPLICATE_REQUEST_ID = "P03"
ORDER_NOT_FOUND = "P02"

MAXIMUM_DETAIL_CHARACTERS = 500


class CheckoutVerdict(StrEnum):
    """What is proven about a checkout."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    NOT_SENT = "not_sent"


class UnknownReason(StrEnum):
    """Why an answer proves nothing."""

    TIMEOUT = "timeout"
    CONNECTION_RESET = "connection_reset"
    TRANSPORT = "transport"
    RESPONSE_TOO_LARGE = "response_too_large"
    REDIRECT = "redirect"
    HTTP_401 = "http_401"
    HTTP_403 = "http_403"
    HTTP_404 = "http_404"
    HTTP_408 = "http_408"
    HTTP_429 = "http_429"
    SERVER_ERROR = "server_error"
    UNEXPECTED_STATUS = "unexpected_status"
    DUPLICATE_REQUEST_ID = "duplicate_request_id"
    UNLISTED_CODE = "unlisted_code"
    UNREADABLE = "unreadable"
    ID_MISMATCH = "id_mismatch"
    ORDER_MISMATCH = "order_mismatch"
    SIGNATURE_MISSING = "signature_missing"
    SIGNATURE_INVALID = "signature_invalid"
    PUBLIC_KEY_MISSING = "public_key_missing"
    NEVER_ASKED = "never_asked"


REASON_BY_HTTP_STATUS: dict[int, UnknownReason] = {
    401: UnknownReason.HTTP_401,
    403: UnknownReason.HTTP_403,
    404: UnknownReason.HTTP_404,
    408: UnknownReason.HTTP_408,
    429: UnknownReason.HTTP_429,
}
REASON_BY_HTTP_CLASS: dict[int, UnknownReason] = {3: UnknownReason.REDIRECT, 5: UnknownReason.SERVER_ERROR}
REASON_BY_FAULT: dict[FaultKind, UnknownReason] = {
    FaultKind.TIMEOUT: UnknownReason.TIMEOUT,
    FaultKind.CONNECTION_RESET: UnknownReason.CONNECTION_RESET,
    FaultKind.RESPONSE_TOO_LARGE: UnknownReason.RESPONSE_TOO_LARGE,
    FaultKind.MALFORMED_RESPONSE: UnknownReason.UNREADABLE,
}


@dataclass(frozen=True, slots=True)
class CheckoutOutcome:
    """What is proven about one transmission of a checkout.

    :param reason: ``accepted``; ``rejected``; a value of :class:`UnknownReason`; for NOT_SENT a value of
        :class:`~sat_hook.protocol.exchange.FaultKind`.
    :param code: the code that decided the outcome, or SAT's first code.
    :param detail: SAT's text, or a sentence about the transport; at most 500 characters.
    :param reported_status: the status in an accepted reply. The reply is not signed, so it does not prove how
        the order ends.
    :param response_digest: SHA-256 of the answer's body; ``None`` if there was no answer.
    :param product_code: the product in an accepted reply, empty when the reply has none; likewise
        ``client_number``.
    """

    verdict: CheckoutVerdict
    reason: str
    code: str | None = None
    detail: str | None = None
    http_status: int | None = None
    reported_status: str | None = None
    sales_price_rupiah: int | None = None
    partner_fee_rupiah: int | None = None
    response_digest: str | None = None
    unreadable_amounts: tuple[UnreadableAmount, ...] = ()
    product_code: str = ""
    client_number: str = field(default="", repr=False)


class StatusVerdict(StrEnum):
    """What a reply to a status query proves."""

    SIGNED = "signed"
    NOT_FOUND = "not_found"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class StatusOutcome:
    """The outcome of one status query.

    :param reason: ``signed``; ``not_found`` (does not prove a failure); else a value of
        :class:`UnknownReason`.
    :param detail: the order, only when the verdict is SIGNED.
    :param evidence_body: the exact signed text, only when the verdict is SIGNED.
    """

    verdict: StatusVerdict
    reason: str
    detail: OrderDetail | None = None
    evidence_body: str | None = field(default=None, repr=False)
    signature: str | None = field(default=None, repr=False)
    key_fingerprint: str | None = None
    response_digest: str | None = None
    http_status: int | None = None


def classify_checkout(reply: WireResponse | TransportFault, request_id: str) -> CheckoutOutcome:
    """What ``reply`` proves about the checkout with ``request_id``. Never raises, for any reply."""
    if isinstance(reply, TransportFault):
        return CheckoutOutcome(
            CheckoutVerdict.UNKNOWN if reply.sent else CheckoutVerdict.NOT_SENT,
            reason_of_fault(reply) if reply.sent else reply.kind.value,
            detail=_shortened(reply.detail),
        )
    if reply.status == 200:
        return _classify_accepting(reply, request_id)
    if reply.status == 400:
        return _classify_refusing(reply)
    return _unknown_checkout(reply, reason_of_status(reply.status))


def classify_status(
    reply: WireResponse | TransportFault, request_id: str, verifier: Verifier | None
) -> StatusOutcome:
    """What ``reply`` proves about the order with ``request_id``. Never raises, for any reply.

    The signature is checked over the raw body before anything is parsed.
    """
    if isinstance(reply, TransportFault):
        reason = reason_of_fault(reply) if reply.sent else UnknownReason.NEVER_ASKED
        return StatusOutcome(StatusVerdict.UNREADABLE, reason)
    if reply.status == 200:
        return _classify_signed(reply, request_id, verifier)
    if reply.status == 400:
        codes = codes_of(reply)
        if codes == (ORDER_NOT_FOUND,):
            return _status(StatusVerdict.NOT_FOUND, "not_found", reply)
        reason = UnknownReason.UNLISTED_CODE if codes else UnknownReason.UNREADABLE
        return _status(StatusVerdict.UNREADABLE, reason, reply)
    return _status(StatusVerdict.UNREADABLE, reason_of_status(reply.status), reply)


def reason_of_fault(fault: TransportFault) -> UnknownReason:
    """The reason for a request that was sent and has no response."""
    return REASON_BY_FAULT.get(fault.kind, UnknownReason.TRANSPORT)


def reason_of_status(status: int) -> UnknownReason:
    """The reason for an HTTP status that SAT itself does not use."""
    return REASON_BY_HTTP_STATUS.get(
        status, REASON_BY_HTTP_CLASS.get(status // 100, UnknownReason.UNEXPECTED_STATUS)
    )


def codes_of(reply: WireResponse) -> tuple[str, ...]:
    """SAT's error codes in ``reply``; empty when it is not a SAT error."""
    return tuple(entry.code for entry in _error_entries(reply))


def _classify_accepting(reply: WireResponse, request_id: str) -> CheckoutOutcome:
    try:
        order = parse_order(reply.body)
    except UnreadableReplyError as error:
        return _unknown_checkout(reply, UnknownReason.UNREADABLE, detail=str(error))
    if order.request_id != request_id:
        return _unknown_checkout(reply, UnknownReason.ID_MISMATCH, detail="the reply is about another order")
    return CheckoutOutcome(
        CheckoutVerdict.ACCEPTED,
        "accepted",
        code=order.error_code or None,
        detail=_shortened(order.error_detail) or None,
        http_status=reply.status,
        reported_status=order.status,
        sales_price_rupiah=order.sales_price_rupiah,
        partner_fee_rupiah=order.partner_fee_rupiah,
        response_digest=reply.digest,
        unreadable_amounts=order.unreadable_amounts,
        product_code=order.product_code,
        client_number=order.client_number,
    )


def _classify_refusing(reply: WireResponse) -> CheckoutOutcome:
    entries = _error_entries(reply)
    if not entries:
        return _unknown_checkout(reply, UnknownReason.UNREADABLE, detail="HTTP 400 without SAT's errors")
    codes = [entry.code for entry in entries]
    if DUPLICATE_REQUEST_ID in codes:
        deciding = entries[codes.index(DUPLICATE_REQUEST_ID)]
        reason = UnknownReason.DUPLICATE_REQUEST_ID
    elif DEFINITE_CHECKOUT_REJECTIONS.issuperset(codes):
        return CheckoutOutcome(
            CheckoutVerdict.REJECTED,
            "rejected",
            code=codes[0],
            detail=_shortened(entries[0].detail) or None,
            http_status=reply.status,
            response_digest=reply.digest,
        )
    else:
        deciding = next(entry for entry in entries if entry.code not in DEFINITE_CHECKOUT_REJECTIONS)
        reason = UnknownReason.UNLISTED_CODE
    return _unknown_checkout(reply, reason, code=deciding.code, detail=deciding.detail)


def _classify_signed(reply: WireResponse, request_id: str, verifier: Verifier | None) -> StatusOutcome:
    if verifier is None:
        return _status(StatusVerdict.UNREADABLE, UnknownReason.PUBLIC_KEY_MISSING, reply)
    signature = reply.headers.get(SIGNATURE_HEADER)
    try:
        fingerprint = verifier.verify(reply.body, signature)
    except SignatureMissingError:
        return _status(StatusVerdict.UNREADABLE, UnknownReason.SIGNATURE_MISSING, reply)
    except SignatureInvalidError:
        return _status(StatusVerdict.UNREADABLE, UnknownReason.SIGNATURE_INVALID, reply)
    try:
        order = parse_order(reply.body)
    except UnreadableReplyError:
        return _status(StatusVerdict.UNREADABLE, UnknownReason.UNREADABLE, reply)
    if order.request_id != request_id:
        return _status(StatusVerdict.UNREADABLE, UnknownReason.ID_MISMATCH, reply)
    return StatusOutcome(
        StatusVerdict.SIGNED,
        "signed",
        detail=order,
        evidence_body=reply.body.decode("utf-8"),
        signature=signature,
        key_fingerprint=fingerprint,
        response_digest=reply.digest,
        http_status=reply.status,
    )


def _error_entries(reply: WireResponse) -> tuple[ErrorEntry, ...]:
    try:
        return parse_errors(reply.body)
    except UnreadableReplyError:
        return ()


def _unknown_checkout(
    reply: WireResponse, reason: UnknownReason, *, code: str | None = None, detail: str | None = None
) -> CheckoutOutcome:
    if code is None:
        entries = _error_entries(reply)
        if entries:
            code, detail = entries[0].code, detail or entries[0].detail
    return CheckoutOutcome(
        CheckoutVerdict.UNKNOWN,
        reason,
        code=code or None,
        detail=_shortened(detail or "") or None,
        http_status=reply.status,
        response_digest=reply.digest,
    )


def _status(verdict: StatusVerdict, reason: str, reply: WireResponse) -> StatusOutcome:
    return StatusOutcome(verdict, reason, response_digest=reply.digest, http_status=reply.status)


def _shortened(text: str) -> str:
    return text[:MAXIMUM_DETAIL_CHARACTERS]
