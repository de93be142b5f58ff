"""The result of closing a day. Frozen; rupiah are whole (int64 in frames), moments UTC, days WIB.

Everything here follows from the log up to ``DayClose.position`` and from evidence that it names: the same day
and the same position give an equal result.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from sat_hook.domain.breaks import BreakCategory, BreakEvidence, BreakState, MatchKind
from sat_hook.domain.business_day import BusinessDay

if TYPE_CHECKING:
    from sat_hook.reconciliation.day_orders import DayOrders

__all__ = [
    "AGE_BANDS",
    "ORDER_COLUMNS",
    "Adjustment",
    "Break",
    "BreakCategory",
    "BreakEvidence",
    "BreakState",
    "ControlTotal",
    "DayClose",
    "MatchKind",
    "MatchTotals",
    "SaldoEquation",
    "SaldoPoint",
    "SettlementFile",
    "TopUp",
    "WaterfallLine",
]

#: The upper end of each age band in days, and its name.
AGE_BANDS: tuple[tuple[int | None, str], ...] = (
    (1, "0-1 days"),
    (7, "2-7 days"),
    (30, "8-30 days"),
    (None, "over 30 days"),
)

#: The columns of ``DayClose.orders`` and their types. One row per order that was sent, ended, or in transit
#: in the day; ordered by request id.
ORDER_COLUMNS: dict[str, str] = {
    "request_id": "str",
    "order_id": "str",  # the submitter's own id: free text
    "batch_id": "category",
    "row_number": "int32",
    "product_code": "category",
    "client_number": "str",  # masked, for example 0812***789
    "state": "category",  # an OrderState's value, as the log says at the position
    "state_at_close": "category",  # likewise at the closing observation; "unsent" before the first sending
    "sent_at": "datetime64[us, UTC]",
    "ended_at": "datetime64[us, UTC]",  # of the first end; NaT until there is one
    "is_sent_in_day": "bool",  # first sent between the cut-offs; the others came from earlier days
    "quote_rupiah": "int64",
    "charged_rupiah": "int64",  # what SAT takes for it; the quote until SAT has named the charge
    "admin_fee_rupiah": "int64",
    "partner_fee_rupiah": "int64",
    # Between the two observations of the saldo; the sums are the terms of the saldo equation.
    "debit_rupiah": "int64",
    "refund_rupiah": "int64",
    "in_transit_opening_rupiah": "int64",
    "in_transit_closing_rupiah": "int64",
    "evidence": "category",  # signed | by operator | rejected | none: what the end rests on
    "settlement": "category",  # matched | missing | duplicate | not expected | no file
    "breaks": "int16",  # how many breaks name the order
    "last_position": "int64",  # of its last event that counted
}


@dataclass(frozen=True, slots=True)
class SaldoPoint:
    """One observation of the deposit."""

    observed_at: datetime
    saldo_rupiah: int
    response_digest: str | None
    position: int


@dataclass(frozen=True, slots=True)
class WaterfallLine:
    """One step from the opening to the closing saldo. ``after_rupiah`` is the saldo after the step."""

    label: str
    rupiah: int
    after_rupiah: int


@dataclass(frozen=True, slots=True)
class SaldoEquation:
    """Opening + top-ups - debits + refunds ± in transit = closing, between two observations.

    In transit are orders that were sent and had not ended at an observation: in our books, their money has
    left the deposit. Every term is a magnitude; ``in_transit_opening_rupiah`` comes back,
    ``in_transit_closing_rupiah`` goes. ``may_drift_rupiah`` is how much of the unexplained amount may be a
    matter of timing: orders whose debit or refund cannot be dated more exactly than around the observations.
    It excuses no difference.
    """

    opening: SaldoPoint
    closing: SaldoPoint
    top_ups_rupiah: int
    debits_rupiah: int
    refunds_rupiah: int
    in_transit_opening_rupiah: int
    in_transit_closing_rupiah: int
    may_drift_rupiah: int

    @property
    def expected_rupiah(self) -> int:
        """The closing saldo that the other terms give."""
        return (
            self.opening.saldo_rupiah
            + self.top_ups_rupiah
            + self.in_transit_opening_rupiah
            - self.debits_rupiah
            + self.refunds_rupiah
            - self.in_transit_closing_rupiah
        )

    @property
    def unexplained_rupiah(self) -> int:
        """Found less expected: 0, or a break."""
        return self.closing.saldo_rupiah - self.expected_rupiah

    @property
    def waterfall(self) -> tuple[WaterfallLine, ...]:
        """The equation as steps; the first is the opening saldo, the last the closing saldo."""
        steps = (
            ("Top-ups", self.top_ups_rupiah),
            ("In transit at the opening", self.in_transit_opening_rupiah),
            ("Debits", -self.debits_rupiah),
            ("Refunds", self.refunds_rupiah),
            ("In transit at the close", -self.in_transit_closing_rupiah),
            ("Unexplained", self.unexplained_rupiah),
        )
        saldo = self.opening.saldo_rupiah
        lines = [WaterfallLine("Opening saldo", saldo, saldo)]
        for label, rupiah in steps:
            saldo += rupiah
            lines.append(WaterfallLine(label, rupiah, saldo))
        lines.append(WaterfallLine("Closing saldo", self.closing.saldo_rupiah, self.closing.saldo_rupiah))
        return tuple(lines)


@dataclass(frozen=True, slots=True)
class MatchTotals:
    """One of the four matches in numbers. ``theirs`` is what our books were compared with.

    ``note`` says in one sentence what was compared, or why nothing was (no settlement file yet).
    """

    kind: MatchKind
    was_made: bool
    note: str
    ours: int
    ours_rupiah: int
    theirs: int
    theirs_rupiah: int
    matched: int
    matched_rupiah: int
    breaks: int


@dataclass(frozen=True, slots=True)
class ControlTotal:
    """A total counted in the log and in the report. Values are shown as text: numbers, digests."""

    name: str
    in_the_log: str
    in_the_report: str

    @property
    def agrees(self) -> bool:
        """Whether both counts are equal."""
        return self.in_the_log == self.in_the_report


@dataclass(frozen=True, slots=True)
class SettlementFile:
    """A settlement file that the day was matched against."""

    name: str
    digest: str
    rows: int
    rupiah: int
    position: int


@dataclass(frozen=True, slots=True)
class TopUp:
    """A top-up as a person recorded it."""

    reference: str
    rupiah: int
    credited_at: datetime
    actor: str
    position: int


@dataclass(frozen=True, slots=True)
class Break:
    """A difference that a person must explain. It keeps its first day, however often it is carried forward.

    :param day: the day that it is about; earlier than ``DayClose.day`` when it was carried forward.
    :param amount_rupiah: theirs less ours; the whole amount if only one side has it; 0 if no money is at
        stake.
    :param what: one sentence.
    :param is_adjustment: about a certified day, posted in this one: a prior-period adjustment.
    :param subject: identifies the break when it is found again: a request id, a row of a file, a day.
    """

    break_id: str
    match: MatchKind
    category: BreakCategory
    day: date
    first_seen: date
    request_id: str | None
    order_id: str | None
    what: str
    ours: str
    theirs: str
    amount_rupiah: int
    evidence: BreakEvidence
    state: BreakState = BreakState.OPEN
    reason: str | None = None
    actor: str | None = None
    decided_at: datetime | None = None
    is_adjustment: bool = False
    subject: str = ""

    def age_days(self, on: date) -> int:
        """Days since it was first seen."""
        return (on - self.first_seen).days

    def age_band(self, on: date) -> str:
        age = self.age_days(on)
        return next(name for limit, name in AGE_BANDS if limit is None or age <= limit)


@dataclass(frozen=True, slots=True)
class Adjustment:
    """Evidence that changes a certified day's reported result. It counts in this day (prior period)."""

    certified_day: date
    request_id: str
    order_id: str
    what: str
    reported: str
    now: str
    amount_rupiah: int
    position: int


@dataclass(frozen=True, slots=True)
class DayClose:
    """An account's day, closed at a log position.

    :param orders: see :data:`ORDER_COLUMNS`.
    :param saldo: None when the deposit was not observed at both ends of the day.
    :param breaks: those of the day, those carried forward, and those that this close ended (state RESOLVED);
        ordered by first day and id.
    """

    account: str
    business_day: BusinessDay
    position: int
    orders: DayOrders
    matches: tuple[MatchTotals, ...]
    saldo: SaldoEquation | None
    breaks: tuple[Break, ...]
    controls: tuple[ControlTotal, ...]
    settlement_files: tuple[SettlementFile, ...] = ()
    top_ups: tuple[TopUp, ...] = ()
    adjustments: tuple[Adjustment, ...] = ()

    @property
    def day(self) -> date:
        """The WIB day."""
        return self.business_day.day

    @property
    def order_count(self) -> int:
        return len(self.orders)

    @property
    def open_breaks(self) -> tuple[Break, ...]:
        """The breaks that are not explained, resolved or written off."""
        return tuple(item for item in self.breaks if item.state is BreakState.OPEN)
