"""Divides the orders of a day into partitions that fit in memory, by their request ids. Pure.

A request id is a hash of the account and the order id (:func:`sat_hook.domain.identity.request_id_of`). So
ranges of request ids are hash partitions: they have about the same size. Partitions follow each other in the
order of request ids, which is the order of a report's rows.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

MAXIMUM_PARTITIONS = 256
_DIGITS = "234567ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""The characters of a hash, in their order as text."""
_COMPARED = 4
_AFTER_ALL = "~"


@dataclass(frozen=True)
class Partition:
    """One of ``count`` partitions; ``number`` counts from 0. Together they have every text exactly once."""

    number: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.number < self.count <= MAXIMUM_PARTITIONS:
            raise ValueError(
                f"found partition {self.number} of {self.count}; expected 0 to count - 1 of at most "
                f"{MAXIMUM_PARTITIONS}"
            )

    @classmethod
    def all_of(cls, count: int) -> list[Self]:
        """All partitions, in the order of request ids."""
        return [cls(number, count) for number in range(count)]

    @property
    def first(self) -> str:
        """Its first request id, and the end of the partition before; empty for the first partition."""
        return _bound(self.number, self.count) if self.number else ""

    @property
    def beyond(self) -> str:
        """The end of its request ids, which it does not have. Every request id of ours is before ``~``."""
        return _bound(self.number + 1, self.count) if self.number + 1 < self.count else _AFTER_ALL

    def holds(self, texts: Sequence[str]) -> list[bool]:
        """Whether each text belongs to it. The last partition has every text after the others, too."""
        if self.count == 1:
            return [True] * len(texts)
        bounds, number = self._bounds, self.number
        return [bisect_right(bounds, text) == number for text in texts]

    @cached_property
    def _bounds(self) -> list[str]:
        return [_bound(number, self.count) for number in range(1, self.count)]


WHOLE = Partition()


def _bound(number: int, count: int) -> str:
    place = number * len(_DIGITS) ** _COMPARED // count
    digits = ""
    for _ in range(_COMPARED):
        place, digit = divmod(place, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return f"S{digits}"
