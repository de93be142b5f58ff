"""What can be asked of an account's books: commands, decided on by ``sat_hook.domain.books_decisions``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from sat_hook.domain import books_events as happened


@dataclass(frozen=True, slots=True)
class RecordObservation:
    """Keep a look at the deposit."""

    observed: happened.DepositObserved


@dataclass(frozen=True, slots=True)
class RecordTopUp:
    """Record that the deposit was topped up.

    :param now: a top-up is in the past.
    """

    recorded: happened.TopUpRecorded
    now: datetime


@dataclass(frozen=True, slots=True)
class ImportSettlement:
    """Register a settlement file that was kept."""

    imported: happened.SettlementImported


@dataclass(frozen=True, slots=True)
class ReplaceSettlements:
    """Register a settlement file instead of those of its day that have these digests."""

    imported: happened.SettlementImported
    rivals: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SetSettlementAside:
    """Keep a settlement file from counting."""

    aside: happened.SettlementSetAside


@dataclass(frozen=True, slots=True)
class ClearSettlement:
    """A file that stood aside needs no person any more."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class ChooseSettlement:
    """Say which of several settlement files of a day counts.

    :param file: its name, or the first characters of its digest.
    """

    day: date
    file: str
    reason: str


@dataclass(frozen=True, slots=True)
class RecordClose:
    """Record what closing a day came to, unless the books know this or a later close of it."""

    closed: happened.DayClosed
    breaks: tuple[happened.BreaksRecorded, ...]


@dataclass(frozen=True, slots=True)
class DecideBreak:
    """Explain, resolve or write off a break."""

    decided: happened.BreakDecided


@dataclass(frozen=True, slots=True)
class PrepareDay:
    """Sign the newest close of a day as its preparer."""

    day: date
    note: str


@dataclass(frozen=True, slots=True)
class CertifyDay:
    """Approve a prepared day; it is frozen at its position from then on.

    :param actor: the approver, who is not the preparer.
    :param position: of the close that is approved; None when the day is not closed.
    :param checkpoint: the signed checkpoint over that position, if there is one.
    :param needs_checkpoint: whether the log is kept under checkpoints.
    """

    day: date
    actor: str
    note: str
    position: int | None
    checkpoint: str | None
    needs_checkpoint: bool


BooksCommand = (
    RecordObservation
    | RecordTopUp
    | ImportSettlement
    | ReplaceSettlements
    | SetSettlementAside
    | ClearSettlement
    | ChooseSettlement
    | RecordClose
    | DecideBreak
    | PrepareDay
    | CertifyDay
)
