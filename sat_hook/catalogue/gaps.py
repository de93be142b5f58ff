"""Times without a known price list. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

GAP_HOURS = 3
"""A longer time without a list is a gap, in which the listings are unknown. Lists are read every hour."""


def gaps_between(
    moments: Sequence[datetime], since: datetime, until: datetime, gap_hours: float = GAP_HOURS
) -> list[tuple[datetime, datetime]]:
    """The spans in [since, until] between two lists, or after the last one, that are longer than allowed.

    :param moments: when lists were requested, oldest first; one before ``since`` may be included.
    """
    longest = timedelta(hours=gap_hours)
    ends = [*moments[1:], until]
    spans = [(start, end) for start, end in zip(moments, ends, strict=False) if end - start > longest]
    return [(max(start, since), end) for start, end in spans if end > since]
