"""What may be asked of an order. :func:`~sat_hook.domain.order_decisions.decide` answers each."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from sat_hook.domain.order_events import HoldReason, OrderReceived, QuoteSource, RejectionReason


@dataclass(frozen=True, slots=True)
class Receive:
    """Take the order in."""

    received: OrderReceived


@dataclass(frozen=True, slots=True)
class Validate:
    """The row fits the catalogue."""

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
    """Stop the order until a person has looked; ``price_rupiah`` is the price found, where that is why."""

    reason: HoldReason
    detail: str
    price_rupiah: int | None = None


@dataclass(frozen=True, slots=True)
class Admit:
    """The guards let the order through. ``day_start`` is when the business day of the limits began: what was
    admitted before it is admitted again, what was admitted since then is not."""

    day_start: datetime


@dataclass(frozen=True, slots=True)
class Approve:
    """A person approves the order up to a price, which must be the one that it has.

    :param release_reason: given when a held order is approved, too: it is released and admitted.
    """

    price_rupiah: int
    release_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """A person lets a held order go on."""

    reason: str


@dataclass(frozen=True, slots=True)
class Cancel:
    """A person ends a held order."""

    reason: str


@dataclass(frozen=True, slots=True)
class Withdraw:
    """A person ends an order that was not sent yet, whether it waits for anybody or not."""

    reason: str


@dataclass(frozen=True, slots=True)
class RenewReservation:
    """Funds for this price stand behind the order again. Asked under the account's funds lock only."""

    price_rupiah: int


@dataclass(frozen=True, slots=True)
class RequestCheckout:
    """Record the intent to send. ``now`` is when it is decided; see :class:`CheckoutRequested` for the rest.

    ``resend_until`` is the end of the time in which SAT is trusted to refuse a duplicate id; only a second
    attempt looks at it. ``based_on_version`` is the version of the order that body, price and every gate were
    taken from: an order that has moved on since is not sent by this intent.
    """

    body: str
    now: datetime
    send_before: datetime
    settled_after: datetime
    resend_until: datetime | None = None
    based_on_version: int | None = None


class UnreadableAmount(NamedTuple):
    """An amount that SAT named and that is no whole number: SAT's name of it, and what it said."""

    member: str
    found: str


class ReplyVerdict(StrEnum):
    """The classified end of one checkout call (protocol section 8)."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    NOT_SENT = "not_sent"


@dataclass(frozen=True, slots=True)
class RecordReply:
    """What became of the checkout call of one attempt."""

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
    """A status whose signature was verified. ``observed_at`` is when the request for it began.

    ``asked_at_version`` is the order's version when SAT was asked: an answer is newer than everything that
    the log had by then. Without it only clocks can say which of two answers is the newer one.
    ``product_code`` and ``client_number`` are what the status says it is about, empty where it does not say.
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
    """A callback whose signature was verified, of an account that takes its word (law 6).

    ``status.observed_at`` is when it came. What it says may be older than that by any time, because nothing
    in it is dated: it ends an order in flight, and everything else is left to a status that is asked for.
    """

    status: RecordStatus


@dataclass(frozen=True, slots=True)
class RecordNotFound:
    """SAT said that it does not know the id (P02). ``asked_at`` is when the request for it began."""

    asked_at: datetime


@dataclass(frozen=True, slots=True)
class Escalate:
    """Hand the order to people, as of ``now``; not while its last attempt may still be under way."""

    reason: str
    now: datetime


@dataclass(frozen=True, slots=True)
class AllowResend:
    """A person wants the order sent again, if SAT says once more that it does not know it.

    ``resend_until`` is the end of the time in which SAT is trusted to refuse a duplicate id.
    """

    reason: str
    now: datetime
    resend_until: datetime


class OperatorEnd(StrEnum):
    """The two ends that a person may decide."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class EndByOperator:
    """A person ends an order that the pipeline could not, as of ``now``."""

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
    | AllowResend
    | EndByOperator
)
