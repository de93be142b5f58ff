"""Splits many items into groups that are read, decided and committed together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")

ORDERS_A_COMMIT = 500


def grouped(items: Iterable[T], size: int = ORDERS_A_COMMIT) -> Iterator[list[T]]:
    """Yield groups of ``size`` items, in order; the last may be smaller. Reads one group at a time."""
    remaining = iter(items)
    while group := list(islice(remaining, size)):
        yield group
