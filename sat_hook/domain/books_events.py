"""Events of an account's books: the inputs of a reconciliation and its results.

They are part of the account's stream. Rupiah and UTC; days are WIB.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import ClassVar

from pydantic import AwareDatetime

from sat_hook.domain.breaks import BreakCategory, BreakEvidence, BreakState, MatchKind
from sat_hook.domain.event_record import Event, Frozen, register
from sat_hook.domain.settlement_mapping import SettlementMapping


class BooksEvent(Event):
    """Base of the events of an account's books. None of them changes whether the account may send."""

    account: str


@register
class DepositObserved(BooksEvent):
    """A scheduled observation of the deposit: one end of a saldo equation."""

    saldo_rupiah: int
    requested_at: AwareDatetime
    received_at: AwareDatetime
    response_digest: str | None


@register
class TopUpRecorded(BooksEvent):
    """A person recorded a top-up of the deposit. ``reference`` is the bank's or ours, and counts once."""

    reference: str
    amount_rupiah: int
    credited_at: AwareDatetime
    note: str


@register
class TopUpReversed(BooksEvent):
    """A person reversed a wrong top-up: this second entry takes it back, and the first one stays in the log.

    The amount and the moment are those of the reversed entry. Its reference may be recorded again.
    """

    reference: str
    amount_rupiah: int
    credited_at: AwareDatetime
    reason: str

    def counter_entry(self) -> TopUpRecorded:
        """The entry that takes the top-up back: the same with a negative amount."""
        return TopUpRecorded(
            account=self.account,
            reference=self.reference,
            amount_rupiah=-self.amount_rupiah,
            credited_at=self.credited_at,
            note=self.reason,
        )


@register
class SettlementImported(BooksEvent):
    """A settlement file of the provider was stored under its digest.

    ``replaces_earlier``: earlier files for the same day no longer count.
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
    """It cannot be read, or its name has no day."""
    UNDECIDED = "undecided"
    """It overlaps with another file: a person must choose."""


@register
class SettlementSetAside(BooksEvent):
    """A settlement file is set aside and does not count; the day is closed without it.

    This ends when a file of this name is imported, when it is cleared, or when another file is chosen.

    :param day: the WIB day of the file; the day of the run if its name has none.
    :param digest: the digest of its bytes; empty if they could not be read.
    :param reason: what was found and expected, without cells of the file.
    :param rivals: digests of the files that count until a person chooses.
    """

    day: date
    name: str
    digest: str
    cause: SetAsideCause
    reason: str
    rivals: tuple[str, ...]


@register
class SettlementCleared(BooksEvent):
    """A settlement file that was set aside needs no decision any more, for example because it was removed."""

    name: str
    reason: str


@register
class SettlementChosen(BooksEvent):
    """A person, the event's actor, chose which of several settlement files with the same orders counts."""

    day: date
    name: str
    digest: str
    reason: str


@register
class SettlementMappingSaved(BooksEvent):
    """A person kept a mapping of settlement files by a name; the last one of a name counts."""

    name: str
    mapping: SettlementMapping


class SaldoTerms(Frozen):
    """The saldo equation of a closed day; see the reconciliation's model for the terms."""

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
    """A day was closed at a log position. ``result_digest`` covers the whole result.

    ``adjusted_days`` are the certified days for which this close posts late evidence, with item counts.
    """

    day: date
    cut_off_minutes: int
    position: int
    result_digest: str
    orders: int
    open_breaks: int
    saldo: SaldoTerms | None
    adjusted_days: dict[date, int]


class BookedBreak(Frozen):
    """A break as recorded in the books. Its texts hold no customers' numbers."""

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
    """The breaks of a closed day, including those carried forward; follows its DayClosed, in parts."""

    day: date
    position: int
    breaks: tuple[BookedBreak, ...]


@register
class BreakDecided(BooksEvent):
    """A person, the event's actor, explained, resolved or wrote off a break."""

    break_id: str
    state: BreakState
    reason: str


@register
class BreakAssigned(BooksEvent):
    """A person gave a break to a user to look into. ``assignee`` is the user's name; empty: to no one."""

    break_id: str
    assignee: str


@register
class BreakCommented(BooksEvent):
    """A person, the event's actor, wrote a note about a break."""

    break_id: str
    note: str


@register
class BreakFileAttached(BooksEvent):
    """A person attached a file to a break. Its bytes are stored under their digest."""

    break_id: str
    name: str
    uri: str
    digest: str
    size_bytes: int


@register
class BreakFileTaken(BooksEvent):
    """A person, the event's actor, downloaded a file that is attached to a break."""

    break_id: str
    name: str
    digest: str


@register
class DayPrepared(BooksEvent):
    """A person, the event's actor, signed the close of a day at this position as its preparer."""

    day: date
    position: int
    result_digest: str
    open_breaks: int
    note: str


@register
class DayCertified(BooksEvent):
    """A person other than the preparer approved the close: the day is frozen at this position.

    ``checkpoint`` is the digest of the signed checkpoint that covers the position; None only in a log without
    checkpoints.
    """

    day: date
    position: int
    result_digest: str
    open_breaks: int
    checkpoint: str | None
    note: str


#: Events that a close writes, and decisions about its result. Such an event of a day changes the close of
#: later days only; one without a day changes no close.
BOOKKEEPING = (
    "DayClosed",
    "BreaksRecorded",
    "DayPrepared",
    "DayCertified",
    "BreakAssigned",
    "BreakCommented",
    "BreakFileAttached",
    "BreakFileTaken",
    "SettlementMappingSaved",
)
