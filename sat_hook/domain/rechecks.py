"""Looks at ended orders: when they are due, and what they find. Pure.

An order that ended is asked about again some business days (WIB) after its end: SAT may take a success back,
or pay what it called failed or had taken back. Each end has its own marks, so an order that ends a second
time is watched again.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from sat_hook.domain.business_day import day_bounds


class RecheckFinding(StrEnum):
    """What a look found.

    Same: a signed status that says what the log says. Changed: one that does not; it is an event now. Not
    found: SAT does not know the order (P02) and never signed for it, which says nothing against its end.
    Given up: no answer that proves anything came in time.
    """

    SAME = "same"
    CHANGED = "changed"
    NOT_FOUND = "not_found"
    GIVEN_UP = "given_up"


def recheck_times(ended_at: datetime, days: int, hour: int) -> tuple[datetime, datetime]:
    """From when a look is due and from when it is overdue, in UTC.

    It is due from ``hour`` (WIB) of the business day that is ``days`` after that of the end, and overdue when
    that day is over.
    """
    midnight, _ = day_bounds(ended_at)
    # Jakarta's clocks are never changed: each of its days has 24 hours.
    day = midnight + timedelta(days=days)
    return day + timedelta(hours=hour), day + timedelta(days=1)
