"""Times of which no price list is known. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

GAP_HOURS = 3
"""Without a list for longer than that, what was listed meanwhile is not known. Lists are read every hour."""


def gaps_between(
    moments: Sequence[datetime], since: datetime, until: datetime, gap_hours: float = GAP_HOURS
) -> list[tuple[datetime, datetime]]:
    """The spans of [since, until] between two lists, or after the last one, that are longer than they may be.

    :param moments: when lists were asked for, the oldest first; one before ``since`` may be among them.
    """
    longest = timedelta(hours=gap_hours)
    ends = [*moments[1:], until]
    spans = [(start, end) for start, end in zip(moments, ends, strict=False) if end - start > longest]
    return [(max(start, since), end) for start, end in spans if end > since]
