"""The business day in Jakarta, and moments as text."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from sat_hook.domain.business_day import (
    business_day,
    day_bounds,
    in_wib,
    local_time,
    midnight,
    moment_text,
    span_text,
    to_the_minute,
)

LAST = datetime(2026, 11, 2, 16, 59, 59, tzinfo=UTC)
"""A second before midnight in Jakarta."""


def test_a_day_ends_at_17_utc() -> None:
    """Whatever zone a moment comes in."""
    assert business_day(LAST) == date(2026, 11, 2)
    assert business_day(LAST + timedelta(seconds=1)) == date(2026, 11, 3)
    assert day_bounds(LAST) == (midnight(date(2026, 11, 2)), midnight(date(2026, 11, 3)))
    assert midnight(date(2026, 11, 3)) == datetime(2026, 11, 2, 17, tzinfo=UTC)


def test_moments_are_those_of_jakarta() -> None:
    """To the second, to the minute, for people and for spreadsheets."""
    assert in_wib(LAST) == "2026-11-02 23:59:59"
    assert in_wib(None) == ""
    assert to_the_minute(LAST) == "2026-11-02 23:59"
    assert moment_text(LAST) == "2 Nov 2026 23:59"
    assert local_time(LAST).isoformat() == "2026-11-02T23:59:59"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0 s"), (20, "20 s"), (2_700, "45 min"), (183_600, "2 d 3 h"), (90_061, "1 d 1 h")],
)
def test_spans_have_two_units(seconds: int, shown: str) -> None:
    """The largest two that are not nothing."""
    assert span_text(timedelta(seconds=seconds)) == shown
