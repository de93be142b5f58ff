"""The commands of an account's books. ``sat_hook.domain.books_decisions`` decides them.

Observations of the deposit, imported settlement files, files set aside, and comments and files of breaks are
:class:`~sat_hook.domain.decision.Record` commands.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from sat_hook.domain import books_events as happened
from sat_hook.domain.breaks import BreakState
from sat_hook.domain.decision import Record


@dataclass(frozen=True, slots=True)
class RecordTopUp:
    """Record that the deposit was topped up.

    :param now: the top-up must not be later than this.
    """

    recorded: happened.TopUpRecorded
    now: datetime


@dataclass(frozen=True, slots=True)
class ReverseTopUp:
    """Take back a wrong top-up by a second entry."""

    reference: str
    reason: str


@dataclass(frozen=True, slots=True)
class ReplaceSettlements:
    """Register a settlement file that replaces the files of its day with these digests."""

    imported: happened.SettlementImported
    rivals: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClearSettlement:
    """Clear a file that was set aside: it no longer needs a decision."""

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
    """Record the close of a day, unless the books already have this or a later close of it."""

    closed: happened.DayClosed
    breaks: tuple[happened.BreaksRecorded, ...]


@dataclass(frozen=True, slots=True)
class DecideBreaks:
    """Explain, resolve or write off breaks, all of them or none."""

    break_ids: tuple[str, ...]
    state: BreakState
    reason: str


@dataclass(frozen=True, slots=True)
class AssignBreaks:
    """Give breaks to a user, or to no one when ``assignee`` is empty; all of them or none."""

    break_ids: tuple[str, ...]
    assignee: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What a person saw of a day before signing it.

    :param result_digest: of the close.
    :param position: of the newest event of the books at that time.
    """

    result_digest: str
    position: int


@dataclass(frozen=True, slots=True)
class PrepareDay:
    """Sign the newest close of a day as its preparer.

    :param seen: refuses the signature when the day has changed since; None signs the day as it is.
    """

    day: date
    note: str
    seen: Seen | None = None


@dataclass(frozen=True, slots=True)
class CertifyDay:
    """Approve a prepared day, which freezes it at its position.

    :param actor: the approver, who must not be the preparer.
    :param position: the position of the approved close; None when the day is not closed.
    :param checkpoint: the signed checkpoint over that position, if there is one.
    :param needs_checkpoint: whether the log is covered by checkpoints.
    :param seen: as for :class:`PrepareDay`.
    """

    day: date
    actor: str
    note: str
    position: int | None
    checkpoint: str | None
    needs_checkpoint: bool
    seen: Seen | None = None


BooksCommand = (
    Record
    | RecordTopUp
    | ReverseTopUp
    | ReplaceSettlements
    | ClearSettlement
    | ChooseSettlement
    | RecordClose
    | DecideBreaks
    | AssignBreaks
    | PrepareDay
    | CertifyDay
)
