"""Many things, a group at a time: what is read, decided and committed together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")

ORDERS_A_COMMIT = 500


def grouped(items: Iterable[T], size: int = ORDERS_A_COMMIT) -> Iterator[list[T]]:
    """Groups of ``size`` items, in order; the last one may be smaller. Reads a group when it is asked for."""
    remaining = iter(items)
    while group := list(islice(remaining, size)):
        yield group
