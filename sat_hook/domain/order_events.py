"""The events of an order's life, in the order in which they usually happen.

No event carries a voucher code or a serial number: a signed status is kept as evidence beside the log, and
events name it by its digest (law 11).
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import AwareDatetime

from sat_hook.domain.event import Event, register


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
    """Why an order waits for a person."""

    PRICE_ABOVE_QUOTE = "price_above_quote"
    BUSINESS_DUPLICATE = "business_duplicate"
    LIMIT = "limit"
    APPROVAL = "approval"


class SentOrderEvent(Event):
    """An event of an order that was handed to SAT: its money may move, or may turn out to have moved.

    Each becomes one row of ``sat.order_movements`` (:mod:`sat_hook.domain.order_movements`) and is counted in
    the control totals of its business day.
    """


@register
class OrderReceived(Event):
    """A row was taken in. Amounts in rupiah."""

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
    """The order ends here and was never sent."""

    reason: RejectionReason
    detail: str


@register
class OrderQuoted(Event):
    """What the order would cost, and until when that may be relied on."""

    price_rupiah: int
    source: QuoteSource
    admin_fee_rupiah: int | None
    valid_until: AwareDatetime


@register
class OrderHeld(Event):
    """The order waits for a person.

    ``price_rupiah`` is the price that was found, where the price is why; releasing the order accepts it.
    """

    reason: HoldReason
    detail: str
    price_rupiah: int | None = None


@register
class OrderReleased(Event):
    """A person let a held order go on: what held it does not hold it again."""

    reason: str


@register
class OrderAdmitted(Event):
    """The guards let the order through. From now on it counts in the limits of its batch and of the day."""

    price_rupiah: int


@register
class OrderApproved(Event):
    """A person approved the order up to this price; who, is the event's actor."""

    price_rupiah: int


@register
class OrderCancelled(Event):
    """A held order ends without ever being sent."""

    reason: str


@register
class OrderWithdrawn(Event):
    """A person does not want the order to be paid after all. It was never sent and never will be."""

    reason: str


@register
class ReservationRenewed(Event):
    """Funds were set aside anew for an order that was held, or that became dearer, since the last time."""

    price_rupiah: int


@register
class CheckoutRequested(SentOrderEvent):
    """The intent: committed before a byte leaves (law 1).

    ``body`` is the exact text that is signed and sent, ``send_before`` the last moment at which it may be
    written, and ``settled_after`` the moment from which nobody can still be waiting for its reply.
    """

    attempt: int
    body: str
    price_rupiah: int
    send_before: AwareDatetime
    settled_after: AwareDatetime


@register
class CheckoutNotSent(SentOrderEvent):
    """Proof that not one byte of this attempt left: nothing can have been charged by it."""

    attempt: int
    reason: str


@register
class CheckoutAccepted(SentOrderEvent):
    """SAT answered the checkout with an order. Its status is unsigned, so the order is merely pending."""

    attempt: int
    reported_status: str
    sales_price_rupiah: int | None
    partner_fee_rupiah: int | None
    response_digest: str | None


@register
class ChargedAboveQuote(Event):
    """SAT says that it charges more than was quoted. The order goes on; people have to look."""

    charged_rupiah: int
    quote_rupiah: int


@register
class AmountUnknown(SentOrderEvent):
    """SAT named an amount of the order that is none: negative, absurd, or no whole number. It counts nowhere.

    ``member`` is SAT's name of it, ``found`` what it said; ``is_signed`` tells a signed status from the reply
    to a checkout.
    """

    member: str
    found: str
    is_signed: bool


@register
class CheckoutRejected(SentOrderEvent):
    """A listed rejection of the only transmission there ever was: the order did not happen."""

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
    """SAT did not know the request id when asked. Never a failure by itself (law 3)."""

    attempt: int
    asked_at: AwareDatetime


class SignedStatus(SentOrderEvent):
    """What every signed status tells. ``evidence_digest`` names the stored bytes."""

    evidence_digest: str
    observed_at: AwareDatetime
    sales_price_rupiah: int | None
    admin_fee_rupiah: int | None
    partner_fee_rupiah: int | None


@register
class OrderPending(SignedStatus):
    """A signed status says that SAT has the order and has not ended it."""

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
    """Signed evidence that fits no transition any more. It is kept and raised, the state stays."""

    reported_status: str


@register
class ReversalDoubted(SignedStatus):
    """A signed Success after a reversal: one of the two was old. The state stays until SAT is asked again."""


@register
class StatusMismatched(SentOrderEvent):
    """A signed status under this order's request id is about something else than was sent. It ends nothing.

    ``members`` names what differs, ``evidence_digest`` the stored bytes; nothing else of them counts.
    """

    evidence_digest: str
    observed_at: AwareDatetime
    reported_status: str
    members: tuple[str, ...]


@register
class OrderEscalated(SentOrderEvent):
    """The pipeline gave up waiting: a person has to look. Any later end is still accepted."""

    reason: str


@register
class ResendAllowedByOperator(SentOrderEvent):
    """A person takes the order back from the escalated ones: if SAT still does not know it, send it again."""

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
