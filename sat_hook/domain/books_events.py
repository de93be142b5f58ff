"""Events of an account's books: what a reconciliation rests on, and what it came to.

They stand in the account's stream, beside its pauses. Rupiah and UTC; days are WIB.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import ClassVar

from pydantic import AwareDatetime, BaseModel, ConfigDict

from sat_hook.domain.breaks import BreakCategory, BreakEvidence, BreakState, MatchKind
from sat_hook.domain.event import Event, register
from sat_hook.domain.settlement_mapping import SettlementMapping


class BooksEvent(Event):
    """Base of what concerns an account's books. None of it changes whether the account may send."""

    account: str


@register
class DepositObserved(BooksEvent):
    """A look at the deposit on the schedule of the books: an end of a saldo equation."""

    saldo_rupiah: int
    requested_at: AwareDatetime
    received_at: AwareDatetime
    response_digest: str | None


@register
class TopUpRecorded(BooksEvent):
    """A person says that the deposit was topped up. ``reference`` is the bank's, or ours; it counts once."""

    reference: str
    amount_rupiah: int
    credited_at: AwareDatetime
    note: str


@register
class SettlementImported(BooksEvent):
    """A settlement file of the provider was kept, under its digest.

    ``replaces_earlier`` says that the files which came before for the same day count no more.
    """

    schema_version: ClassVar[int] = 2

    day: date
    name: str
    uri: str
    digest: str
    size_bytes: int
    rows: int
    mapping: SettlementMapping
    replaces_earlier: bool


class SetAsideCause(StrEnum):
    """Why a settlement file does not count."""

    UNUSABLE = "unusable"
    """It cannot be read, or its name says no day."""
    UNDECIDED = "undecided"
    """It would count again what another file counts: a person has to choose."""


@register
class SettlementSetAside(BooksEvent):
    """A settlement file does not count until this is over; the day is closed without it.

    It is over when a file of this name is taken in, when it is cleared, or when another one is chosen.

    :param day: the WIB day it is about; the day of the run where its name says none.
    :param digest: of its bytes; empty where they could not be read.
    :param reason: what was found and expected, without a cell of the file.
    :param rivals: digests of the files that count meanwhile, when a person has to choose.
    """

    day: date
    name: str
    digest: str
    cause: SetAsideCause
    reason: str
    rivals: tuple[str, ...]


@register
class SettlementCleared(BooksEvent):
    """Nothing is wrong with a settlement file any more that was set aside, such as one that was removed."""

    name: str
    reason: str


@register
class SettlementChosen(BooksEvent):
    """A person said which of several settlement files with the same orders counts; who, is the actor."""

    day: date
    name: str
    digest: str
    reason: str


class SaldoTerms(BaseModel):
    """The saldo equation of a closed day; see the reconciliation's model for the terms."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    opening_observed_at: AwareDatetime
    opening_rupiah: int
    closing_observed_at: AwareDatetime
    closing_rupiah: int
    top_ups_rupiah: int
    debits_rupiah: int
    refunds_rupiah: int
    in_transit_opening_rupiah: int
    in_transit_closing_rupiah: int
    unexplained_rupiah: int


@register
class DayClosed(BooksEvent):
    """A day was closed at a log position. ``result_digest`` is over the whole result.

    ``adjusted_days`` are certified days about which this close posts later evidence, with how many items.
    """

    day: date
    cut_off_minutes: int
    position: int
    result_digest: str
    orders: int
    open_breaks: int
    saldo: SaldoTerms | None
    adjusted_days: dict[date, int]


class BookedBreak(BaseModel):
    """A break as the books keep it. Customers' numbers are in none of its texts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    break_id: str
    match: MatchKind
    category: BreakCategory
    subject: str
    day: date
    first_seen: date
    request_id: str | None
    order_id: str | None
    what: str
    ours: str
    theirs: str
    amount_rupiah: int
    evidence: BreakEvidence
    state: BreakState
    reason: str | None
    actor: str | None
    decided_at: datetime | None
    is_adjustment: bool


@register
class BreaksRecorded(BooksEvent):
    """Breaks of a closed day, those carried forward included; follows its DayClosed, in parts."""

    day: date
    position: int
    breaks: tuple[BookedBreak, ...]


@register
class BreakDecided(BooksEvent):
    """A person explained, resolved or wrote off a break; who, is the event's actor."""

    break_id: str
    state: BreakState
    reason: str


@register
class DayPrepared(BooksEvent):
    """A person answers for the close of a day at this position; who, is the event's actor."""

    day: date
    position: int
    result_digest: str
    open_breaks: int
    note: str


@register
class DayCertified(BooksEvent):
    """Another person than the preparer approved the close: the day is frozen at this position.

    ``checkpoint`` is the digest of the signed checkpoint that covers the position; None only in a log that is
    kept under none.
    """

    day: date
    position: int
    result_digest: str
    open_breaks: int
    checkpoint: str | None
    note: str


#: What closing a day writes about itself, and what is said about the result. Such an event of a day changes
#: the close of later days only.
BOOKKEEPING = ("DayClosed", "BreaksRecorded", "DayPrepared", "DayCertified")
