"""The commands of an order. :func:`~sat_hook.domain.order_decisions.decide` answers each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from sat_hook.domain.order_events import HoldReason, OrderReceived, QuoteSource, RejectionReason


@dataclass(frozen=True, slots=True)
class Receive:
    """Receive the order from a row."""

    received: OrderReceived


@dataclass(frozen=True, slots=True)
class Validate:
    """Record that the row fits the catalogue."""

    is_inquiry: bool
    list_price_rupiah: int


@dataclass(frozen=True, slots=True)
class Reject:
    """End the order before it was ever sent."""

    reason: RejectionReason
    detail: str


@dataclass(frozen=True, slots=True)
class Quote:
    """Set, or renew, the price."""

    price_rupiah: int
    source: QuoteSource
    admin_fee_rupiah: int | None
    valid_until: datetime


@dataclass(frozen=True, slots=True)
class Hold:
    """Hold the order for a person; ``price_rupiah`` is the price found, if the price is the reason.

    :param facts: see :class:`~sat_hook.domain.order_events.OrderHeld`.
    """

    reason: HoldReason
    detail: str
    price_rupiah: int | None = None
    facts: Mapping[str, int | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Admit:
    """Admit the order after the guards. ``day_start`` is the start of the limits' business day: an order
    admitted
    before it is admitted again, an order admitted since then is not."""

    day_start: datetime


@dataclass(frozen=True, slots=True)
class Approve:
    """Approve the order up to a price, which must be its current price.

    :param release_reason: set when a held order is approved; it is also released and admitted.
    """

    price_rupiah: int
    release_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """Release a held order, as a person."""

    reason: str


@dataclass(frozen=True, slots=True)
class Cancel:
    """End a held order, as a person."""

    reason: str


@dataclass(frozen=True, slots=True)
class Withdraw:
    """End an order that was not sent yet, held or not, as a person."""

    reason: str


@dataclass(frozen=True, slots=True)
class RenewReservation:
    """Reserve funds for the order again, at this price. Requires the account's funds lock."""

    price_rupiah: int


@dataclass(frozen=True, slots=True)
class RequestCheckout:
    """Record the intent to send. ``now`` is when it is decided; see :class:`CheckoutRequested` for the rest.

    ``resend_until`` is the end of the time in which SAT is trusted to refuse a duplicate id; only a second
    attempt uses it. ``based_on_version`` is the order's version from which body, price and every check were
    taken: if the order has changed since, this intent does not send it.
    """

    body: str
    now: datetime
    send_before: datetime
    settled_after: datetime
    resend_until: datetime | None = None
    based_on_version: int | None = None


class UnreadableAmount(NamedTuple):
    """An amount from SAT that is not a whole number: its member name, and the value."""

    member: str
    found: str


class ReplyVerdict(StrEnum):
    """The classified outcome of one checkout call (protocol section 8)."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    NOT_SENT = "not_sent"


@dataclass(frozen=True, slots=True)
class RecordReply:
    """Record the outcome of one attempt's checkout call."""

    attempt: int
    verdict: ReplyVerdict
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


@dataclass(frozen=True, slots=True)
class RecordStatus:
    """Record a status whose signature was verified. ``observed_at`` is when the request for it began.

    ``asked_at_version`` is the order's version when SAT was asked: the answer is newer than everything in the
    log by then. Without it only clocks can tell which of two answers is newer. ``product_code`` and
    ``client_number`` are those in the status, empty when it has none.
    """

    status: str
    observed_at: datetime
    evidence_digest: str
    error_code: str = ""
    error_detail: str = ""
    sales_price_rupiah: int | None = None
    admin_fee_rupiah: int | None = None
    partner_fee_rupiah: int | None = None
    fulfilled_at: datetime | None = None
    unreadable_amounts: tuple[UnreadableAmount, ...] = ()
    product_code: str = ""
    client_number: str = field(default="", repr=False)
    asked_at_version: int | None = None


@dataclass(frozen=True, slots=True)
class RecordCallback:
    """Record a trusted callback: its signature was verified and its account trusts callbacks (law 6).

    ``status.observed_at`` is when it arrived. Its contents are undated and may be much older, so it only ends
    an order in flight; everything else needs a status query.
    """

    status: RecordStatus


@dataclass(frozen=True, slots=True)
class RecordNotFound:
    """Record that SAT does not know the id (P02). ``asked_at`` is when the request for it began."""

    asked_at: datetime


@dataclass(frozen=True, slots=True)
class Escalate:
    """Escalate the order, as of ``now``; refused while its last attempt may still be in flight."""

    reason: str
    now: datetime


@dataclass(frozen=True, slots=True)
class AskStatus:
    """Record that a person has SAT asked about a sent order, before SAT is asked."""

    reason: str


@dataclass(frozen=True, slots=True)
class AllowResend:
    """Allow the order to be sent again, as a person, if SAT answers again that it does not know it.

    ``resend_until`` is the end of the time in which SAT is trusted to refuse a duplicate id.
    """

    reason: str
    now: datetime
    resend_until: datetime


class OperatorEnd(StrEnum):
    """The two ends that a person may set."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class EndByOperator:
    """End an order that the pipeline could not end, as a person, as of ``now``."""

    end: OperatorEnd
    reason: str
    now: datetime


OrderCommand = (
    Receive
    | Validate
    | Reject
    | Quote
    | Hold
    | Admit
    | Approve
    | Release
    | Cancel
    | Withdraw
    | RenewReservation
    | RequestCheckout
    | RecordReply
    | RecordStatus
    | RecordCallback
    | RecordNotFound
    | Escalate
    | AskStatus
    | AllowResend
    | EndByOperator
)
