"""Rechecks of ended orders: when they are due, and what they find. Pure.

The status of an ended order is asked again some business days (WIB) after its end: SAT may reverse a success,
or pay an order that it had failed or reversed. Each end has its own rechecks, so an order that ends a second
time is rechecked again.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from sat_hook.domain.business_day import day_bounds


class RecheckFinding(StrEnum):
    """What a recheck found.

    Same: a signed status that agrees with the log. Changed: a signed status that disagrees; it is recorded as
    an event. Not found: SAT does not know the order (P02) and never signed for it, which does not contradict
    its end. Given up: no answer in time that proves anything.
    """

    SAME = "same"
    CHANGED = "changed"
    NOT_FOUND = "not_found"
    GIVEN_UP = "given_up"


def recheck_times(ended_at: datetime, days: int, hour: int) -> tuple[datetime, datetime]:
    """When a recheck becomes due and when it becomes overdue, in UTC.

    It is due from ``hour`` (WIB) of the business day ``days`` after the day of the end, and overdue when that
    day is over.
    """
    midnight, _ = day_bounds(ended_at)
    # Jakarta has no daylight saving time: each day has 24 hours.
    day = midnight + timedelta(days=days)
    return day + timedelta(hours=hour), day + timedelta(days=1)
