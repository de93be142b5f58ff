"""The events that the books keep of a close."""

from __future__ import annotations

from datetime import date

from sat_hook.domain.books_commands import RecordClose
from sat_hook.domain.books_events import BreaksRecorded, DayClosed
from sat_hook.domain.breaks import BreakState
from sat_hook.domain.grouping import grouped
from sat_hook.reconciliation import deposit_match
from sat_hook.reconciliation.carry_forward import booked_of
from sat_hook.reconciliation.model import DayClose

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
