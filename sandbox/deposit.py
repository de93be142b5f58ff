"""The prepaid deposit: every movement, with a check after each that no rupiah was created or lost."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from enum import StrEnum

MAX_HISTORY = 100_000


class ConservationError(AssertionError):
    """The deposit does not add up: the judge itself is wrong, and its results cannot be trusted."""


class Movement(StrEnum):
    """The reason and direction of a movement."""

    TOP_UP = "top_up"
    CHARGE = "charge"
    REFUND = "refund"
    RECLAIM = "reclaim"
    """A refund that is taken back, because a Failed order succeeded after all."""
    FOREIGN_SPEND = "foreign_spend"
    """Another party spent from the same deposit."""

    @property
    def sign(self) -> int:
        return 1 if self in (Movement.TOP_UP, Movement.REFUND) else -1


class Deposit:
    """A balance in rupiah that only :meth:`move` changes."""

    def __init__(self, opening_rupiah: int, now: float) -> None:
        self.opening_rupiah = opening_rupiah
        self.balance_rupiah = opening_rupiah
        self.moved_rupiah: Counter[Movement] = Counter()
        self._times = [now]
        self._balances = [opening_rupiah]

    def move(self, movement: Movement, rupiah: int, now: float) -> None:
        """Move a non-negative amount; a reclaim may leave the balance negative.

        :raises ConservationError: when the deposit no longer adds up.
        """
        if rupiah < 0:
            raise ConservationError(f"{movement} of {rupiah} rupiah: amounts are never negative")
        self.balance_rupiah += movement.sign * rupiah
        self.moved_rupiah[movement] += rupiah
        self._times.append(now)
        self._balances.append(self.balance_rupiah)
        if len(self._times) > MAX_HISTORY:
            del self._times[: MAX_HISTORY // 2], self._balances[: MAX_HISTORY // 2]
        self.check()

    def check(self) -> None:
        """Check that the opening balance plus credits minus debits equals the balance.

        :raises ConservationError: when it is not.
        """
        expected = self.opening_rupiah + sum(
            movement.sign * rupiah for movement, rupiah in self.moved_rupiah.items()
        )
        if expected != self.balance_rupiah:
            raise ConservationError(f"the deposit holds {self.balance_rupiah} rupiah, expected {expected}")

    def balance_at(self, when: float) -> int:
        """The balance at a time (the earliest known one, if that is later)."""
        return self._balances[max(0, bisect_right(self._times, when) - 1)]
