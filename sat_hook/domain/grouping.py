"""Splits many items into groups that are handled together, and row numbers into ranges. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")

ORDERS_A_COMMIT = 500

Rows = tuple[tuple[int, int], ...]
"""Row numbers as ranges, in order; both ends belong to a range."""


def grouped(items: Iterable[T], size: int = ORDERS_A_COMMIT) -> Iterator[list[T]]:
    """Yield groups of ``size`` items, in order; the last may be smaller. Reads one group at a time."""
    remaining = iter(items)
    while group := list(islice(remaining, size)):
        yield group


def row_ranges(row_numbers: Iterable[int]) -> Rows:
    """Row numbers as ranges, in order."""
    ranges: list[tuple[int, int]] = []
    for row in sorted(row_numbers):
        if ranges and ranges[-1][1] == row - 1:
            ranges[-1] = (ranges[-1][0], row)
        else:
            ranges.append((row, row))
    return tuple(ranges)


def rows_in(ranges: Rows) -> frozenset[int]:
    return frozenset(row for first, last in ranges for row in range(first, last + 1))
