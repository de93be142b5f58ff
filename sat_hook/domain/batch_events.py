"""The events of a batch, from submission to results."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from pydantic import AwareDatetime

from sat_hook.domain.account_rules import RuleValues
from sat_hook.domain.event_record import Event, Frozen, register


class BatchSource(StrEnum):
    """How the rows were submitted."""

    FILE = "file"
    ORDER_INTAKE = "order_intake"
    OPERATOR = "operator"


class ShortFundsPolicy(StrEnum):
    """What a batch does when the deposit does not cover all of it."""

    WAIT = "wait"
    PARTIAL = "partial"
    REFUSE = "refuse"


class RowVerdict(StrEnum):
    """Why a row of a batch did not become an order of this batch."""

    REFUSED = "refused"
    ALREADY_KNOWN = "already_known"


class RowSetAside(Frozen):
    """One row that did not become an order of this batch, and why.

    ``known_request_id`` is the order that the row repeats, if it was already submitted.
    """

    row_number: int
    verdict: RowVerdict
    code: str
    message: str
    order_id: str | None = None
    known_request_id: str | None = None
    known_batch_id: str | None = None


@register
class BatchSubmitted(Event):
    """The batch's bytes were spooled; every later step reads only them. ``digest`` is their SHA-256."""

    account: str
    reference: str
    source: BatchSource
    file_name: str
    spool_uri: str
    digest: str
    size_bytes: int


class ColumnMeaning(Frozen):
    """Which column of an order file a title of the upload was read as."""

    title: str
    column: str


class CellChange(Frozen):
    """A cell that a person changed before the batch was submitted.

    ``place`` counts the columns of the upload from 1. ``changed_at`` is by the application's clock.
    """

    row_number: int
    place: int
    column: str
    cell_before: str
    cell_after: str
    changed_by: str
    changed_at: AwareDatetime


@register
class OrderFileMended(Event):
    """The batch's file was made from an upload that people mapped, changed or took rows out of.

    ``upload_digest`` is the SHA-256 of the upload. ``columns`` are those mapped by hand. ``left_out`` names
    the rows that were set aside, for example ``3-5,9``. Rows have the same numbers in both files.
    """

    upload_name: str
    upload_format: str
    upload_digest: str
    upload_bytes: int
    columns: tuple[ColumnMeaning, ...]
    cell_changes: tuple[CellChange, ...]
    left_out: str


@register
class BatchStartPlanned(Event):
    """The batch was submitted to start later. Its run begins at that time, unless it is withdrawn before."""

    starts_at: AwareDatetime


@register
class BatchPaysAgain(Event):
    """The rows of the batch pay failed orders of an earlier batch again, with new order ids."""

    earlier_batch_id: str


Preparation = OrderFileMended | BatchStartPlanned | BatchPaysAgain
"""What is recorded with the submission of a batch: how its file was made, and how it shall be paid."""


@register
class RowsTakenIn(Event):
    """A contiguous run of rows was read: the number that became orders, and the rows set aside.

    Rows are numbered as a spreadsheet shows them: the header is row 1, blank lines count.
    """

    first_row: int
    last_row: int
    orders: int
    set_aside: tuple[RowSetAside, ...]


@register
class BatchRefused(Event):
    """The whole batch ends here; none of its orders is sent."""

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
    """The deposit was observed. Rupiah."""

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
    """Funds are reserved for the quoted orders up to a row. Rupiah.

    ``orders`` and ``total_rupiah`` are what this reservation adds; ``renewed`` of these orders had lost an
    earlier one. ``available_rupiah`` is ``saldo_rupiah`` less every commitment of the account that is not
    proven debited before ``included_before``. That saldo certainly includes every debit before that moment.
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
    """Nothing is left to wait for: every order has ended or was escalated."""

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
    """Vouchers and serials were handed to an authorised user, who is the event's actor."""

    orders: int
    reason: str


class StopCause(StrEnum):
    """Why sending a chunk stopped early."""

    BREAKER = "breaker"
    OVERCHARGED = "overcharged"
    INCOMPLETE = "incomplete"


@register
class ChunkStopped(Event):
    """Sending these rows stopped; ``unsent`` of their orders stay quoted until a person sends them again.

    Breaker: too many calls in a row had an unknown outcome. Overcharged: SAT charged more than was quoted.
    Incomplete: some prices could not be renewed, or some intents could not be written in time.
    """

    first_row: int
    last_row: int
    unsent: int
    cause: StopCause


@register
class BatchReopened(Event):
    """A completed batch has orders to send again: a person released them."""

    orders: int


@register
class BatchWithdrawn(Event):
    """A person withdrew the batch: no further order of it is sent."""

    reason: str


@register
class BatchRunStarted(Event):
    """A run of the batch started under these rules: the strictest of account, connection and run.

    ``run`` holds the DAG id and the run id; ``parameters`` are the run's parameters. The event's actor
    started it.
    """

    schema_version: ClassVar[int] = 2

    run: str
    connection: str
    rules: RuleValues
    parameters: dict[str, str]


@register
class BatchRunRefused(Event):
    """A run of the batch was looser than the account's rules; it did nothing."""

    run: str
    parameters: dict[str, str]
    reason: str
