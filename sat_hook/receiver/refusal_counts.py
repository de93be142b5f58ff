"""Refused callbacks, counted by account and reason, and written to the database from time to time.

No answer depends on a count. What is kept in memory is bounded: only known accounts have counts of their own,
and requests to all others share the empty name.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping

import psycopg2

from sat_hook.receiver.responses import Refusal
from sat_hook.store.errors import StoreRefusedError, StoreUnavailableError

logger = logging.getLogger(__name__)

WRITE_EVERY_SECONDS = 10.0
"""A count reaches the database at most this long after its refusal; a killed process loses so much."""

Counts = Mapping[tuple[str, str], int]


class RefusalCounts:
    """Counts of one process that are not written yet.

    :param write: adds counts, by account and reason, to those of the database. Blocks.
    """

    def __init__(self, write: Callable[[Counts], None]) -> None:
        self._write = write
        self._guard = threading.Lock()
        self._waiting: Counter[tuple[str, str]] = Counter()
        self._planned_in: asyncio.AbstractEventLoop | None = None

    def add(self, account: str, refusal: Refusal, known: Collection[str]) -> None:
        """Count a refusal, in an event loop. ``account`` comes from the path and is untrusted."""
        with self._guard:
            self._waiting[account if account in known else "", refusal.value] += 1
            if self._planned_in is None or self._planned_in.is_closed():
                loop = self._planned_in = asyncio.get_running_loop()
                loop.call_later(WRITE_EVERY_SECONDS, lambda: loop.run_in_executor(None, self.flush))

    def flush(self) -> None:
        """Write what was counted. Counts that cannot be written stay for the next time. Blocks."""
        with self._guard:
            counts, self._waiting = self._waiting, Counter()
            self._planned_in = None
        if not counts:
            return
        try:
            self._write(counts)
        except (StoreUnavailableError, StoreRefusedError, psycopg2.Error) as error:
            logger.warning("%d refusals are not stored yet: %s", counts.total(), type(error).__name__)
            with self._guard:
                self._waiting.update(counts)
