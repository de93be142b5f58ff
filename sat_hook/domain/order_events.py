"""The events of an order, in the order in which they usually happen.

No event holds a voucher code or a serial number. Signed statuses are stored as evidence beside the log, and
events refer to them by digest (law 11).
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from pydantic import AwareDatetime, Field

from sat_hook.domain.event_record import Event, register


class QuoteSource(StrEnum):
    """Where the price of a quote came from."""

    CATALOGUE = "catalogue"
    INQUIRY = "inquiry"


class RejectionReason(StrEnum):
    """Why an order was never sent."""

    UNKNOWN_PRODUCT = "unknown_product"
    INACTIVE_PRODUCT = "inactive_product"
    UNREADABLE_PRODUCT = "unreadable_product"
    NO_PRICE = "no_price"
    CLIENT_NUMBER_SHAPE = "client_number_shape"
    AMOUNT_MISSING = "amount_missing"
    AMOUNT_NOT_ALLOWED = "amount_not_allowed"
    AMOUNT_BOUNDS = "amount_bounds"
    ABOVE_MAXIMUM = "above_maximum"
    INQUIRY_REFUSED = "inquiry_refused"
    INQUIRY_UNAVAILABLE = "inquiry_unavailable"
    BATCH_REFUSED = "batch_refused"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    APPROVAL_REJECTED = "approval_rejected"


class HoldReason(StrEnum):
    """Why an order is held."""

    PRICE_ABOVE_QUOTE = "price_above_quote"
    BUSINESS_DUPLICATE = "business_duplicate"
    LIMIT = "limit"
    APPROVAL = "approval"
    LEFT_OUT = "left_out"


class SentOrderEvent(Event):
    """An event of an order that was handed to SAT: its money may move, or may turn out to have moved.

    Each becomes one row of ``sat.order_movements`` (:mod:`sat_hook.domain.order_movements`) and is counted in
    the control totals of its business day.
    """


@register
class OrderReceived(Event):
    """A row was received as an order. Amounts in rupiah."""

    account: str
    order_id: str
    batch_id: str
    row_number: int
    product_code: str
    client_number: str
    amount_rupiah: int | None
    max_rupiah: int | None
    downline_id: str | None
    fields: tuple[tuple[str, str], ...]
    payload_digest: str


@register
class OrderValidated(Event):
    """The catalogue knows the product and the row fits it."""

    is_inquiry: bool
    list_price_rupiah: int


@register
class OrderRejected(Event):
    """The order ended without being sent."""

    reason: RejectionReason
    detail: str


@register
class OrderQuoted(Event):
    """The price of the order, and until when it is valid."""

    price_rupiah: int
    source: QuoteSource
    admin_fee_rupiah: int | None
    valid_until: AwareDatetime


class HoldingEvent(Event):
    """Held: a person must release or cancel the order.

    ``price_rupiah`` is the price found, if the price is the reason; releasing the order accepts it.
    """

    reason: HoldReason
    detail: str
    price_rupiah: int | None = None


@register
class OrderHeld(HoldingEvent):
    """Held. ``facts`` is what ``detail`` says in English, by name, for pages in any language.

    Limit: ``limit``, and what was ``found`` and is possible at ``most``. Price and approval: likewise, in
    rupiah. Duplicate: the earlier order, and within how many ``days``. Left out: by which ``approver``.
    """

    schema_version: ClassVar[int] = 2

    facts: dict[str, int | str] = Field(default_factory=dict)


@register
class OrderReleased(Event):
    """A person released a held order; the same reason does not hold it again."""

    reason: str


@register
class OrderAdmitted(Event):
    """The guards admitted the order. From now on it counts in the limits of its batch and of the day."""

    price_rupiah: int


@register
class OrderApproved(Event):
    """A person, the event's actor, approved the order up to this price."""

    price_rupiah: int


@register
class OrderCancelled(Event):
    """A held order ended without being sent."""

    reason: str


@register
class OrderWithdrawn(Event):
    """A person withdrew the order. It was never sent and never will be."""

    reason: str


@register
class ReservationRenewed(Event):
    """Funds were reserved again for an order that was held, or whose price rose, since its reservation."""

    price_rupiah: int


@register
class CheckoutRequested(SentOrderEvent):
    """The intent to send, committed before the first byte is written (law 1).

    ``body`` is the exact text to sign and send. ``send_before`` is the last moment at which it may be
    written. After ``settled_after`` no sender can still be waiting for its reply.
    """

    attempt: int
    body: str
    price_rupiah: int
    send_before: AwareDatetime
    settled_after: AwareDatetime


@register
class CheckoutNotSent(SentOrderEvent):
    """Proof that not one byte of this attempt was written, so it cannot have been charged."""

    attempt: int
    reason: str


@register
class CheckoutAccepted(SentOrderEvent):
    """SAT answered the checkout with an order. Its status is unsigned, so the order is only pending."""

    attempt: int
    reported_status: str
    sales_price_rupiah: int | None
    partner_fee_rupiah: int | None
    response_digest: str | None


@register
class ChargedAboveQuote(Event):
    """SAT charges more than was quoted. The order continues; an alert is raised."""

    charged_rupiah: int
    quote_rupiah: int


@register
class AmountUnknown(SentOrderEvent):
    """SAT sent an invalid amount: negative, absurdly large, or not a whole number. It counts nowhere.

    ``member`` is its member name, ``found`` its value; ``is_signed`` is true for a signed status and false
    for the reply to a checkout.
    """

    member: str
    found: str
    is_signed: bool


@register
class CheckoutRejected(SentOrderEvent):
    """The only transmission got a listed rejection: the order did not happen."""

    attempt: int
    code: str
    detail: str
    http_status: int | None


@register
class CheckoutUnknown(SentOrderEvent):
    """The checkout may or may not have happened (law 3)."""

    attempt: int
    reason: str
    code: str | None
    http_status: int | None


@register
class StatusNotFound(SentOrderEvent):
    """SAT did not know the request id when asked. This alone never means failure (law 3)."""

    attempt: int
    asked_at: AwareDatetime


class SignedStatus(SentOrderEvent):
    """Base of the events from a signed status. ``evidence_digest`` names the stored bytes."""

    evidence_digest: str
    observed_at: AwareDatetime
    sales_price_rupiah: int | None
    admin_fee_rupiah: int | None
    partner_fee_rupiah: int | None


@register
class OrderPending(SignedStatus):
    """A signed status: SAT has the order and has not ended it."""

    reported_status: str


@register
class OrderSucceeded(SignedStatus):
    """A signed Success."""

    fulfilled_at: datetime | None


@register
class OrderFailed(SignedStatus):
    """A signed Failed: SAT gives the money back."""

    error_code: str
    error_detail: str


@register
class OrderReversed(SignedStatus):
    """A signed Failed after a signed Success."""

    error_code: str
    error_detail: str


@register
class EvidenceContradicted(SignedStatus):
    """Signed evidence that fits no transition. It is kept and raises an alert; the state stays."""

    reported_status: str


@register
class ReversalDoubted(SignedStatus):
    """A signed Success after a reversal: one of them is stale. The state stays until SAT is asked again."""


@register
class StatusMismatched(SentOrderEvent):
    """A signed status with this order's request id is about something other than what was sent. It ends
    nothing.

    ``members`` names what differs; ``evidence_digest`` names the stored bytes, which are not used otherwise.
    """

    evidence_digest: str
    observed_at: AwareDatetime
    reported_status: str
    members: tuple[str, ...]


@register
class OrderEscalated(SentOrderEvent):
    """The order was escalated: the pipeline stopped waiting. A later signed end is still accepted."""

    reason: str


@register
class StatusAskedByOperator(Event):
    """A person has SAT asked about the order. What SAT answers is recorded by events of its own.

    ``reason`` is empty where the person gave none.
    """

    reason: str


@register
class ResendAllowedByOperator(SentOrderEvent):
    """A person ended the escalation: if SAT still does not know the order, it is sent again."""

    reason: str


@register
class SucceededByOperator(SentOrderEvent):
    """A person decided that the order succeeded; later signed evidence may contradict it."""

    reason: str


@register
class FailedByOperator(SentOrderEvent):
    """A person decided that the order failed; later signed evidence may contradict it."""

    reason: str


END_TYPES = tuple(
    kind.__name__
    for kind in (
        CheckoutRejected,
        FailedByOperator,
        OrderFailed,
        OrderReversed,
        OrderSucceeded,
        SucceededByOperator,
    )
)
"""The types of events that end an order as succeeded, failed or reversed."""

PAID_ORDER_TYPES = tuple(
    kind.__name__
    for kind in (
        OrderReceived,
        OrderValidated,
        OrderQuoted,
        OrderAdmitted,
        CheckoutRequested,
        CheckoutAccepted,
        OrderSucceeded,
    )
)
"""The types of events that every paid order has. The log's index of types leaves them out."""
