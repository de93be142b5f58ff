"""The sequence of days: where each begins, and which ones must be closed again."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from sat_hook.domain.books import AccountBooks, PostedClose
from sat_hook.domain.business_day import BusinessDay
from sat_hook.reconciliation import deposit_match

ONE_DAY = timedelta(days=1)


def day_in_chain(books: AccountBooks, day: date, cut_off_minutes: int) -> BusinessDay:
    """Return a day that begins where the day before ended: a changed cut-off loses no hour."""
    yesterday = books.closes.get(day - ONE_DAY)
    if yesterday is None or yesterday.event.cut_off_minutes == cut_off_minutes:
        return BusinessDay(day, cut_off_minutes)
    return BusinessDay(day, cut_off_minutes, opens_minutes=yesterday.event.cut_off_minutes)


def closed_day(books: AccountBooks, day: date, cut_off_minutes: int) -> BusinessDay:
    """Return an earlier day with the cut-offs it was closed with; ``cut_off_minutes`` if it has none."""
    known = books.closes.get(day)
    return day_in_chain(books, day, cut_off_minutes if known is None else known.event.cut_off_minutes)


def day_of(books: AccountBooks, moment: datetime, cut_off_minutes: int) -> date:
    """Return the day that a moment is in, by the cut-offs that days were closed with."""
    near = BusinessDay.of(moment, cut_off_minutes).day
    for day in (near, near - ONE_DAY, near + ONE_DAY):
        known = closed_day(books, day, cut_off_minutes)
        if known.opens_at <= moment < known.closes_at:
            return day
    return near


def nearer_days(own: date, other: date) -> list[date]:
    """Return the days whose files are likelier than the file of ``other`` to have an order of ``own``."""
    by_nearness = [own, own - ONE_DAY, own + ONE_DAY]
    return by_nearness[: by_nearness.index(other)] if other in by_nearness else by_nearness


def days_to_close(books: AccountBooks, day: date) -> list[date]:
    """Return ``day``, preceded by the first uncertified day whose books have changed since its close and all
    that follow it.
    """
    waiting = [closed for closed in sorted(books.closes) if closed < day and closed not in books.certified]
    for place, earlier in enumerate(waiting):
        if _has_changed(books, books.closes[earlier]):
            return [*waiting[place:], day]
    return [day]


def _has_changed(books: AccountBooks, close: PostedClose) -> bool:
    """Whether an event after a close belongs to its day, or the day before was closed again."""
    day, since, saldo_terms = close.event.day, close.event.position, close.event.saldo
    before = books.before(day)
    if before is not None and before.posted.position > since:
        return True
    near = {day, day - ONE_DAY, day + ONE_DAY}
    if any(posted.posted.position > since and posted.event.day in near for posted in books.settlements):
        return True
    return saldo_terms is not None and any(
        posted.posted.position > since
        for posted in deposit_match.top_ups_between(
            books, saldo_terms.opening_observed_at, saldo_terms.closing_observed_at
        )
    )
