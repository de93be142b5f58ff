"""Moments as people type them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from sat_hook.cli.errors import CommandError
from sat_hook.cli.options import day_from, end_from, moment_from

NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("now", NOW),
        ("2026-11-23", datetime(2026, 11, 22, 17, 0, tzinfo=UTC)),
        ("2026-11-23 10:30", datetime(2026, 11, 23, 3, 30, tzinfo=UTC)),
        ("2026-11-23T10:30Z", datetime(2026, 11, 23, 10, 30, tzinfo=UTC)),
        ("2026-11-23T10:30+08:00", datetime(2026, 11, 23, 2, 30, tzinfo=UTC)),
        (" 90min ", NOW - timedelta(minutes=90)),
        ("12h", NOW - timedelta(hours=12)),
        ("7d", NOW - timedelta(days=7)),
        ("2w", NOW - timedelta(days=14)),
    ],
)
def test_a_moment_is_jakartas_unless_it_says_otherwise(text: str, moment: datetime) -> None:
    """Dates, times, offsets, ages."""
    assert moment_from(text, NOW, "--since") == moment


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-13-01", "23/11/2026", "7 days", "999999w", "0001-01-01"]
)
def test_anything_else_is_a_mistake(text: str) -> None:
    """One sentence that names the option and what is expected."""
    with pytest.raises(CommandError, match=r"^--since: found .*; expected a time like"):
        moment_from(text, NOW, "--since")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-23", datetime(2026, 11, 23, 17, 0, tzinfo=UTC)),
        (" 2026-11-23 ", datetime(2026, 11, 23, 17, 0, tzinfo=UTC)),
        ("20261123", datetime(2026, 11, 23, 17, 0, tzinfo=UTC)),
        ("2026-W48-1", datetime(2026, 11, 23, 17, 0, tzinfo=UTC)),
        ("9999-12-31", datetime(9999, 12, 31, 17, 0, tzinfo=UTC)),
        ("2026-11-23 10:30", datetime(2026, 11, 23, 3, 30, tzinfo=UTC)),
        ("now", NOW),
    ],
)
def test_a_period_ends_with_its_last_day(text: str, moment: datetime) -> None:
    """However the day is spelt: a pack that lacks its last day would look whole."""
    assert end_from(text, NOW, "--to") == moment


def test_days_are_days() -> None:
    """A date, nothing else."""
    assert day_from("2026-11-23", "--of") == date(2026, 11, 23)
    with pytest.raises(CommandError, match="--of"):
        day_from("2026-11-23 10:00", "--of")
