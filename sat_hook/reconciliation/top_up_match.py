"""Matches recorded top-ups, and lines of a bank's statement, with observed rises of the deposit. Pure.

A rise is what the deposit held beyond all that refunds of our own orders explain: the least that came
between two observations. Orders that were paid meanwhile may have hidden a part of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

ON_ITS_WAY = timedelta(days=1)
"""A transfer may reach the deposit this long after the bank's time for it."""


@dataclass(frozen=True, slots=True)
class Rise:
    """A rise of the deposit that our own orders do not explain.

    :param since: the observation before; the rise came after it.
    """

    rupiah: int
    since: datetime
    observed_at: datetime


class Movement(Protocol):
    """A top-up, or a line of a statement."""

    @property
    def rupiah(self) -> int:
        """Its amount."""

    @property
    def credited_at(self) -> datetime:
        """When the bank has it."""


def match_rises(movements: Sequence[Movement], rises: Iterable[Rise]) -> dict[int, Rise]:
    """The rise of each movement that has one, by the movement's place. A rise belongs to one movement.

    Of several movements that fit, one of exactly the amount comes first, then the one nearest in time.
    """
    matched: dict[int, Rise] = {}
    for rise in sorted(rises, key=lambda one: one.observed_at):
        fitting = [
            (abs(movement.rupiah) != rise.rupiah, abs(rise.observed_at - movement.credited_at), place)
            for place, movement in enumerate(movements)
            if place not in matched and _fits(movement, rise)
        ]
        if fitting:
            matched[min(fitting)[2]] = rise
    return matched


def _fits(movement: Movement, rise: Rise) -> bool:
    """Whether a movement may have made a rise: it came in time, and is no smaller."""
    came = rise.since - ON_ITS_WAY < movement.credited_at <= rise.observed_at
    return came and abs(movement.rupiah) >= rise.rupiah
