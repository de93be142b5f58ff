"""People's actions on the books. The authenticated route supplies the actor (law 13)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from sat_hook.domain.books_commands import (
    CertifyDay,
    ChooseSettlement,
    DecideBreaks,
    PrepareDay,
    RecordTopUp,
    ReverseTopUp,
    Seen,
)
from sat_hook.domain.books_events import TopUpRecorded
from sat_hook.domain.breaks import BreakState
from sat_hook.domain.event_record import Provenance
from sat_hook.reconciliation.bookkeeper import BookKeeper
from sat_hook.reconciliation.errors import BooksRefusedError
from sat_hook.store.checkpoints import CheckpointTable

MAXIMUM_REFERENCE_CHARACTERS = 100


@dataclass(frozen=True, slots=True)
class Signed:
    """A day's signatures after one was added."""

    day: date
    position: int
    result_digest: str
    prepared_by: str
    certified_by: str | None
    checkpoint: str | None
    open_breaks: int


def top_up(
    keeper: BookKeeper,
    account: str,
    *,
    reference: str,
    amount_rupiah: int,
    credited_at: datetime,
    note: str,
    provenance: Provenance,
) -> bool:
    """Record that the deposit was topped up. Returns False when the top-up was known already.

    :raises BooksRefusedError: the amount, moment or reference is not possible.
    """
    reference = " ".join(reference.split())
    if not 0 < len(reference) <= MAXIMUM_REFERENCE_CHARACTERS or not reference.isprintable():
        raise BooksRefusedError(
            f"reference: found {len(reference)} characters; expected 1 to {MAXIMUM_REFERENCE_CHARACTERS} "
            "that can be printed"
        )
    event = TopUpRecorded(
        account=account,
        reference=reference,
        amount_rupiah=amount_rupiah,
        credited_at=credited_at,
        note=note,
    )
    return bool(keeper.post(account, RecordTopUp(event, keeper.clock.now()), provenance))


def reverse_top_up(
    keeper: BookKeeper, account: str, reference: str, reason: str, provenance: Provenance
) -> bool:
    """Take back a wrong top-up by a second entry. Returns False when it was taken back already.

    :raises BooksRefusedError: no top-up has this reference.
    """
    return bool(keeper.post(account, ReverseTopUp(" ".join(reference.split()), reason), provenance))


def settle_break(
    keeper: BookKeeper, account: str, break_id: str, state: BreakState, reason: str, provenance: Provenance
) -> bool:
    """Explain, resolve or write off a break. Returns False when the break already has this decision.

    :raises BooksRefusedError: there is no such break, or it has ended.
    """
    return bool(keeper.post(account, DecideBreaks((break_id,), state, reason), provenance))


def choose_file(
    keeper: BookKeeper, account: str, day: date, file: str, reason: str, provenance: Provenance
) -> bool:
    """Choose which of several settlement files with the same orders counts. Returns False when already
    chosen.

    The file counts from the next close on, and the others do not.

    :param file: its name, or the first characters of its digest.
    :raises BooksRefusedError: there is nothing to choose, or it is not clear which file is meant.
    """
    return bool(keeper.post(account, ChooseSettlement(day, file, reason), provenance))


def prepare(
    keeper: BookKeeper,
    account: str,
    day: date,
    note: str,
    provenance: Provenance,
    seen: Seen | None = None,
) -> Signed:
    """Sign the newest close of a day as its preparer.

    :param seen: what the person saw; None signs the day as it is.
    :raises BooksRefusedError: the day is not closed, a control break is open, or the day has changed since it
        was seen.
    """
    keeper.post(account, PrepareDay(day, note, seen), provenance)
    return standing(keeper, account, day)


def certify(
    keeper: BookKeeper,
    account: str,
    day: date,
    note: str,
    provenance: Provenance,
    seen: Seen | None = None,
) -> Signed:
    """Certify a prepared day as another person. From then on the day is frozen at its position.

    If the log is kept under checkpoints, the certificate names the checkpoint over that position.

    :param seen: as for :func:`prepare`.
    :raises BooksRefusedError: the day is not prepared, was closed again since, has the same person as
        preparer, has no checkpoint over it yet, or has changed since it was seen.
    """
    close = keeper.books(account).closes.get(day)
    position = close.event.position if close is not None else None
    checkpoints = CheckpointTable(keeper.store.database)
    checkpoint = checkpoints.covering(position) if position is not None else None
    command = CertifyDay(
        day,
        provenance.actor,
        note,
        position,
        None if checkpoint is None else checkpoint.digest,
        needs_checkpoint=checkpoint is None and checkpoints.newest_number() > 0,
        seen=seen,
    )
    keeper.post(account, command, provenance)
    return standing(keeper, account, day)


def standing(keeper: BookKeeper, account: str, day: date) -> Signed:
    """Return who has signed a day.

    :raises BooksRefusedError: the day has no signature.
    """
    books = keeper.books(account)
    prepared, certified = books.prepared.get(day), books.certified.get(day)
    if prepared is None:
        raise BooksRefusedError(f"{day}: found no signature; expected a day that was prepared")
    return Signed(
        day=day,
        position=prepared.event.position,
        result_digest=prepared.event.result_digest,
        prepared_by=prepared.posted.actor,
        certified_by=certified.posted.actor if certified else None,
        checkpoint=certified.event.checkpoint if certified else None,
        open_breaks=prepared.event.open_breaks,
    )
