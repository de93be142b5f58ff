"""Checks that an answer is about the request, for callers of the clients that do not store orders.

An answer about another product or client number may have the right id, but its price and its end belong to
another order.
"""

from __future__ import annotations

from dataclasses import replace

from sat_hook.domain.same_order import differing_members
from sat_hook.protocol.calls import Call, Reply, inquiry_call
from sat_hook.protocol.errors import ReplyMismatchError
from sat_hook.protocol.exchange import TransportFault, WireResponse
from sat_hook.protocol.messages import Inquiry, InquiryRequest, OrderDetail, OrderRequest
from sat_hook.protocol.outcomes import CheckoutOutcome, CheckoutVerdict, UnknownReason, classify_checkout


def bill_call(request: InquiryRequest) -> Call[Inquiry]:
    """Ask what the bill of ``request`` costs; the bill of another customer raises ReplyMismatchError."""
    call = inquiry_call(request)

    def read(body: bytes) -> Inquiry:
        bill = call.read(body)
        _require_same(request, bill, "the inquiry's answer")
        return bill

    return Call(call.request, read)


def outcome_for(request: OrderRequest, reply: WireResponse | TransportFault) -> CheckoutOutcome:
    """What ``reply`` proves about the checkout of ``request``; a reply about another order proves nothing."""
    outcome = classify_checkout(reply, request.request_id)
    if outcome.verdict is not CheckoutVerdict.ACCEPTED or not _differing(request, outcome):
        return outcome
    return replace(outcome, verdict=CheckoutVerdict.UNKNOWN, reason=UnknownReason.ORDER_MISMATCH)


def require_about(sent: OrderRequest | None, status: Reply[OrderDetail]) -> Reply[OrderDetail]:
    """The status, if it is about the order that was sent. Without ``sent`` nothing is compared.

    :raises ReplyMismatchError: the status is about another product or client number, and ends nothing.
    """
    if sent is not None:
        try:
            _require_same(sent, status.value, "the signed status")
        except ReplyMismatchError as error:
            error.request_id, error.response = sent.request_id, status.response
            raise
    return status


def _differing(
    request: InquiryRequest | OrderRequest, told: Inquiry | OrderDetail | CheckoutOutcome
) -> tuple[str, ...]:
    return differing_members(
        request.product_code, request.client_number, told.product_code, told.client_number
    )


def _require_same(request: InquiryRequest | OrderRequest, told: Inquiry | OrderDetail, what: str) -> None:
    if differing := _differing(request, told):
        another = " and ".join(f"another {member.replace('_', ' ')}" for member in differing)
        raise ReplyMismatchError(f"{what} is about {another}")
