"""Breaks for settlement files that do not count. A bad file affects only itself, never the close of a day."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date

from sat_hook.domain.books import AccountBooks, PostedSettlement
from sat_hook.domain.books_events import SetAsideCause, SettlementSetAside
from sat_hook.domain.breaks import BreakCategory, BreakEvidence, MatchKind
from sat_hook.reconciliation.break_factory import BreakFactory
from sat_hook.reconciliation.model import Break
from sat_hook.reconciliation.settlement_rows import SettlementRows

_WHAT = {
    SetAsideCause.UNUSABLE: "a settlement file does not count",
    SetAsideCause.UNDECIDED: "a settlement file has orders that another one counts; a person has to choose",
}


def break_of_file(event: SettlementSetAside, position: int | None = None) -> Break:
    """Return the break of a file that was set aside. Other bytes or another cause make another break."""
    return BreakFactory(event.account, MatchKind.SETTLEMENT, event.day).found(
        "file",
        f"{event.cause.value}:{event.name}:{event.digest}",
        BreakCategory.FILE,
        f"{_WHAT[event.cause]}: {event.reason}",
        ours=event.name,
        evidence=BreakEvidence(
            positions=() if position is None else (position,),
            file_name=event.name,
            file_digest=event.digest or None,
        ),
    )


def file_breaks(books: AccountBooks, day: date) -> Iterator[Break]:
    """Return breaks for the files set aside at a day's close, including files about earlier days."""
    for item in books.set_aside.values():
        if item.event.day <= day:
            yield replace(
                break_of_file(item.event, item.posted.position),
                first_seen=day,
                is_adjustment=item.event.day in books.certified,
            )


def doubts(finder: BreakFactory, files: Sequence[tuple[PostedSettlement, SettlementRows]]) -> Iterator[Break]:
    """Return what a person must check in files that count, for example a sheet that was not read."""
    for posted, rows in files:
        # Files that were read before doubts were recorded stay as they were signed.
        for note in rows.notes if not posted.is_earlier else ():
            if note.is_doubt:
                yield finder.found(
                    "note",
                    f"{posted.event.digest}:{note.kind.value}",
                    BreakCategory.FILE,
                    f"a settlement file has something to look at: {note.text}",
                    ours=posted.event.name,
                    evidence=BreakEvidence(
                        positions=(posted.posted.position,),
                        file_name=posted.event.name,
                        file_digest=posted.event.digest,
                    ),
                )
