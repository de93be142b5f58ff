"""Reads the weekly summary from the history."""

from __future__ import annotations

from datetime import datetime

from sat_hook.catalogue.weekly import Week, WeekSummary, summary_of
from sat_hook.store.prices import PriceHistory


def read_week(history: PriceHistory, account: str, week: Week, now: datetime) -> WeekSummary:
    """Summarise a week of an account's prices, up to now if it is not over.

    :raises StoreUnavailableError: when the database is away.
    """
    until = min(now, week.until)
    return summary_of(
        account,
        week,
        now,
        before=history.listed_at(account, week.since),
        after=history.listed_at(account, until),
        changes=history.changes(account, week.since, until),
        attempts=history.snapshots(account, week.since, until),
        moments=history.complete_moments(account, week.since, until),
    )
