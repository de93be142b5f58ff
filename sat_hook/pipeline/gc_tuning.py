"""A process that has thousands of orders in hand, and Python's garbage collector."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_SELDOM = (50_000, 20, 20)


@contextmanager
def gc_for_bulk_work() -> Iterator[None]:
    """While the block runs, the collector looks seldom, and never at what was loaded before.

    Orders, events and replies go by counting references. With its usual thresholds the collector looks for
    cycles among all of them again and again: measured, a twentieth of an order's time.
    """
    usual = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*_SELDOM)
    try:
        yield
    finally:
        gc.set_threshold(*usual)
        gc.unfreeze()
