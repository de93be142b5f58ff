"""The lines that a waiting trigger writes into its task's log: soon at first, never many."""

from __future__ import annotations

from itertools import pairwise

from sat_hook.triggers.batch import LONGEST_PAUSE_SECONDS, STILL_SECONDS, Reporting

DAY = range(0, 86_400, 5)


def test_lines_come_soon_at_first_and_ever_more_seldom() -> None:
    """A day with a change at every look is some three hundred lines."""
    reporting = Reporting()
    said = [second for second in DAY if is_said(reporting, second, second)]
    assert said[:4] == [0, 10, 25, 50]
    assert len(said) < 350
    assert max(later - earlier for earlier, later in pairwise(said)) <= LONGEST_PAUSE_SECONDS


def test_a_still_batch_is_a_line_each_half_hour() -> None:
    """The log shows that the wait goes on."""
    reporting = Reporting()
    said = [second for second in DAY if is_said(reporting, "the same", second)]
    assert len(said) == 86_400 / STILL_SECONDS


def is_said(reporting: Reporting, standing: object, second: int) -> bool:
    """Whether a look at ``second`` leads to a line."""
    return reporting.seconds_to_look(second) <= 0 and reporting.is_news(standing, second)
