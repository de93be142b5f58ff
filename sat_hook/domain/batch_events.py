"""The events of a batch, from submission to results."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from pydantic import AwareDatetime, BaseModel, ConfigDict

from sat_hook.domain.account_rules import RuleValues
from sat_hook.domain.event import Event, register


class BatchSource(StrEnum):
    """How the rows came in."""

    FILE = "file"
    ORDER_INTAKE = "order_intake"
    OPERATOR = "operator"


class ShortFundsPolicy(StrEnum):
    """What a batch does when the deposit does not reach for all of it."""

    WAIT = "wait"
    PARTIAL = "partial"
    REFUSE = "refuse"


class RowVerdict(StrEnum):
    """Why a row of a batch became no order of this batch."""

    REFUSED = "refused"
    ALREADY_KNOWN = "already_known"


class RowSetAside(BaseModel):
    """One row that became no order of this batch, and why.

    ``known_request_id`` names the order that the row turned out to be, when it was already submitted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    row_number: int
    verdict: RowVerdict
    code: str
    message: str
    order_id: str | None = None
    known_request_id: str | None = None
    known_batch_id: str | None = None


@register
class BatchSubmitted(Event):
    """Bytes were spooled; from here on only these bytes exist. ``digest`` is their SHA-256."""

    account: str
    reference: str
    source: BatchSource
    file_name: str
    spool_uri: str
    digest: str
    size_bytes: int


@register
class RowsTakenIn(Event):
    """A contiguous run of rows was read: so many became orders, these were set aside.

    Rows are numbered as a spreadsheet shows them: the header is row 1, blank lines count.
    """

    first_row: int
    last_row: int
    orders: int
    set_aside: tuple[RowSetAside, ...]


@register
class BatchRefused(Event):
    """The batch ends here as a whole; none of its orders is sent."""

    code: str
    message: str


@register
class BatchReceived(Event):
    """Every row has been read."""

    rows: int
    orders: int
    set_aside: int


@register
class BatchValidated(Event):
    """Every order has a verdict."""

    valid: int
    rejected: int


@register
class BalanceChecked(Event):
    """The deposit was looked at. Rupiah."""

    saldo_rupiah: int
    estimate_rupiah: int


@register
class BatchQuoted(Event):
    """Every order that can be sent has a price. Rupiah."""

    quoted: int
    rejected: int
    total_rupiah: int


@register
class FundsReserved(Event):
    """Funds stand behind the quoted orders up to a row. Rupiah.

    ``orders`` and ``total_rupiah`` are what this reservation adds, ``renewed`` of them orders that had lost
    an earlier one. ``available_rupiah`` is ``saldo_rupiah`` less every commitment of the account that is not
    proven debited before ``included_before``, the moment up to which that saldo is certain to tell all.
    """

    up_to_row: int
    orders: int
    renewed: int
    total_rupiah: int
    saldo_rupiah: int
    observed_at: AwareDatetime
    included_before: AwareDatetime
    available_rupiah: int
    policy: ShortFundsPolicy
    left_orders: int
    left_rupiah: int


@register
class BatchCompleted(Event):
    """Nothing is left to wait for: every order has ended or was handed to people."""

    counts: dict[str, int]
    charged_rupiah: int


@register
class BatchResultsWritten(Event):
    """A result file was written from the log as of ``position``. ``digest`` is its SHA-256.

    ``counts`` and ``charged_rupiah`` are the batch's summary as of the same position.
    """

    schema_version: ClassVar[int] = 2

    uri: str
    digest: str
    rows: int
    position: int
    counts: dict[str, int]
    charged_rupiah: int


@register
class GoodsDelivered(Event):
    """Vouchers and serials left by the request of an authorised user, who is the event's actor."""

    orders: int
    reason: str


class StopCause(StrEnum):
    """Why a chunk stopped before all of it was sent."""

    BREAKER = "breaker"
    OVERCHARGED = "overcharged"
    INCOMPLETE = "incomplete"


@register
class ChunkStopped(Event):
    """Sending these rows stopped; ``unsent`` orders of them stay quoted until somebody sends them again.

    Breaker: too many calls in a row proved nothing. Overcharged: SAT charged more than was quoted.
    Incomplete: some prices could not be renewed, or some intents could not be written in time.
    """

    first_row: int
    last_row: int
    unsent: int
    cause: StopCause


class GuardTally(BaseModel):
    """What the guards made of a batch so far: orders let through and their rupiah, orders held and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    admitted: int
    admitted_rupiah: int
    held_as_duplicates: int
    held_over_limits: int


class ApprovalTerms(BaseModel):
    """What a person is asked to approve, and what is then executed: nothing else.

    ``digest`` is that of the submitted bytes, ``quotes_digest`` covers the request id, the price and the
    payload of every order that would be sent and, of a held one, why and since which version, ``orders``
    and ``total_rupiah`` are their number and sum.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    digest: str
    orders: int
    total_rupiah: int
    quotes_digest: str


class ApprovalRefusal(StrEnum):
    """Why an approval that was given does not count."""

    OWN_BATCH = "own_batch"
    TERMS_CHANGED = "terms_changed"
    NO_USER = "no_user"


@register
class BatchGuarded(Event):
    """The guards have looked at every order of the batch that can be sent."""

    tally: GuardTally


@register
class BatchReopened(Event):
    """A completed batch has orders again that can be sent: a person released them."""

    orders: int


@register
class ApprovalRequested(Event):
    """A person is asked. ``held`` of the orders wait for one and would be released by the approval."""

    terms: ApprovalTerms
    held: int


@register
class ApprovalRefused(Event):
    """An answer that does not count, and why; who gave it, is the event's actor."""

    reason: ApprovalRefusal
    detail: str
    approver: str


@register
class BatchApproved(Event):
    """Somebody other than its maker approved the batch as it was shown. Rupiah."""

    approver: str
    orders: int
    total_rupiah: int
    digest: str
    quotes_digest: str


@register
class BatchWithdrawn(Event):
    """A person does not want the batch to be paid after all: no order of it is sent any more."""

    reason: str


@register
class ApprovalRejected(Event):
    """A person does not want what was asked for to be paid: none of those orders is sent."""

    rejecter: str
    orders: int
    total_rupiah: int


@register
class BatchRunStarted(Event):
    """A run of the batch began, with these rules in force: the strictest of account, connection and run.

    ``run`` is the DAG's id and the run's; ``parameters`` is what the run was given. Who started it is the
    event's actor.
    """

    run: str
    connection: str
    rules: RuleValues
    parameters: dict[str, str]


@register
class BatchRunRefused(Event):
    """A run of the batch would have been looser than the account's rules; it did nothing."""

    run: str
    parameters: dict[str, str]
    reason: str
