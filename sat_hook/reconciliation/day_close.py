"""Closes an account's WIB day: picks the position, keeps a certified day unchanged, records the result.

:func:`sat_hook.reconciliation.close_computation.compute_close` computes the result.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta

from sat_hook.domain.books_commands import ClearSettlement, RecordClose
from sat_hook.domain.books_events import BreaksRecorded, DayClosed, SetAsideCause, SettlementSetAside
from sat_hook.domain.breaks import BreakState
from sat_hook.domain.business_day import BusinessDay
from sat_hook.domain.decision import Record
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.grouping import grouped
from sat_hook.reconciliation import deposit_match
from sat_hook.reconciliation.bookkeeper import BookKeeper
from sat_hook.reconciliation.carry_forward import booked_of
from sat_hook.reconciliation.close_computation import compute_close
from sat_hook.reconciliation.close_digest import digest_of_close
from sat_hook.reconciliation.errors import BooksRefusedError, NotReproducedError, SettlementLostError
from sat_hook.reconciliation.model import DayClose
from sat_hook.reconciliation.settlement import Keep
from sat_hook.reconciliation.settlement_cache import SettlementCache
from sat_hook.store.spool import NamedSpool


@dataclass(frozen=True, slots=True)
class Closed:
    """A close, its digest, and whether it added something new to the books."""

    close: DayClose
    digest: str
    is_new: bool


@dataclass(frozen=True, slots=True)
class PreparedClose:
    """Partitions of a day that tasks have computed.

    :param position: of the log, at which they were computed.
    :param spool: has them.
    """

    position: int
    spool: NamedSpool


def close_day(
    keeper: BookKeeper,
    keep: Keep,
    account: str,
    day: BusinessDay,
    provenance: Provenance,
    prepared: PreparedClose | None = None,
) -> Closed:
    """Close a day at the newest position that matters to it, and record the result.

    A certified day does not change: it is computed again at its own position. A settlement file that can no
    longer be read is set aside, and the day is closed without it.

    :param prepared: the partitions that tasks have computed. Its position is used, unless the day was closed
        at a later one, or a file was set aside since.
    :raises SettlementLostError: a certified day cannot be computed again without such a file.
    :raises BooksRefusedError: the day is certified with another cut-off.
    :raises NotReproducedError: the same position gave another result before.
    """
    _welcome_back(keeper, keep, account, day.day, provenance)
    while True:
        try:
            return _close_once(keeper, keep, account, day, provenance, prepared)
        except SettlementLostError as lost:
            prepared = None
            aside = SettlementSetAside(
                account=account,
                day=lost.settlement.day,
                name=lost.settlement.name,
                digest=lost.settlement.digest,
                cause=SetAsideCause.UNUSABLE,
                reason=str(lost),
                rivals=(),
            )
            if day.day in keeper.books(account).certified or not keeper.post(
                account, Record(aside), provenance
            ):
                raise


def _welcome_back(keeper: BookKeeper, keep: Keep, account: str, day: date, provenance: Provenance) -> None:
    """Let files that had become unreadable count again once they can be read."""
    books = keeper.books(account)
    for near in (day - timedelta(days=1), day, day + timedelta(days=1)):
        for posted in books.registered_of(near):
            if books.is_lost(posted.event):
                with suppress(SettlementLostError):
                    SettlementCache(keep).passing(posted)
                    keeper.post(account, ClearSettlement(posted.event.name, "it can be read"), provenance)


def _close_once(
    keeper: BookKeeper,
    keep: Keep,
    account: str,
    day: BusinessDay,
    provenance: Provenance,
    prepared: PreparedClose | None,
) -> Closed:
    books = keeper.books(account)
    certified = books.certified.get(day.day)
    if certified is not None:
        if books.closes[day.day].event.cut_off_minutes != day.cut_off_minutes:
            raise BooksRefusedError(f"{day.day} is certified with another cut-off")
        position = certified.event.position
        prepared = None
    else:
        last = books.closes.get(day.day)
        if prepared is not None and last is not None and last.event.position > prepared.position:
            prepared = None
        position = keeper.input_position(day.day) if prepared is None else prepared.position
    kept = None if prepared is None else prepared.spool
    close = compute_close(
        keeper.store.database, keep, keeper.recorded(account), account, day, position, kept=kept
    )
    digest = digest_of_close(close)
    if certified is not None:
        if digest != certified.event.result_digest:
            raise NotReproducedError(f"{day.day}: the certified close gives another result than was signed")
        return Closed(close, digest, is_new=False)
    record = record_of_close(close, digest)
    return Closed(close, digest, is_new=bool(keeper.post(account, record, provenance)))


BREAKS_PER_EVENT = 500


def record_of_close(close: DayClose, digest: str) -> RecordClose:
    """Return the events for a close: its result, and its breaks in parts."""
    adjusted: dict[date, int] = {}
    for day in (
        *(item.certified_day for item in close.adjustments),
        *(item.day for item in close.breaks if item.is_adjustment and item.first_seen == close.day),
    ):
        adjusted[day] = adjusted.get(day, 0) + 1
    booked = [booked_of(item) for item in close.breaks]
    first = DayClosed(
        account=close.account,
        day=close.day,
        cut_off_minutes=close.business_day.cut_off_minutes,
        position=close.position,
        result_digest=digest,
        orders=len(close.orders),
        open_breaks=sum(1 for item in close.breaks if item.state is BreakState.OPEN),
        saldo=deposit_match.terms_of(close.saldo) if close.saldo is not None else None,
        adjusted_days=adjusted,
    )
    parts = tuple(
        BreaksRecorded(
            account=close.account,
            day=close.day,
            position=close.position,
            breaks=tuple(group),
        )
        for group in grouped(booked, BREAKS_PER_EVENT)
    )
    return RecordClose(first, parts)
