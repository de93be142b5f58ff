"""One time for every machine: PostgreSQL's, carried on by a clock that never jumps."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

from sat_hook.domain.ports import Clock

AGREEMENT = timedelta(seconds=2)
"""So close to the database's a machine's own clock counts as right."""
MEASURE_EVERY_SECONDS = 30.0
SLOWEST_ANSWER_SECONDS = 1.0
"""An answer that took longer says too little of the moment at which it was given."""


class DatabaseTime(Protocol):
    """Who can be asked for the database's time."""

    def database_time(self) -> datetime:
        """The database's clock, aware, in UTC."""


class StoreClock:
    """A machine's own clock as long as it agrees with the database's; else the database's time.

    Nothing that is written down or compared between machines then depends on one machine's wall clock. Until
    :meth:`measure` was called for the first time it is the machine's own clock.
    """

    def __init__(self, store: DatabaseTime, own: Clock) -> None:
        self._store = store
        self._own = own
        self._measured: tuple[float, datetime] | None = None

    def now(self) -> datetime:
        """The wall clock, aware, in UTC: what is written down and compared between machines."""
        own = self._own.now()
        ahead = self._ahead_of(own)
        return own if abs(ahead) <= AGREEMENT else own - ahead

    def boottime_seconds(self) -> float:
        """Seconds of a clock that never jumps and goes on while the machine is suspended."""
        return self._own.boottime_seconds()

    @property
    def ahead(self) -> timedelta:
        """How far the machine's own clock is ahead of the database's; negative when it is behind."""
        return self._ahead_of(self._own.now())

    def measure(self) -> None:
        """Ask the database for its time, at most twice a minute. Blocks.

        :raises StoreUnavailableError: when the database is away.
        """
        began = self._own.boottime_seconds()
        if self._measured is not None and began - self._measured[0] < MEASURE_EVERY_SECONDS:
            return
        told = self._store.database_time()
        ended = self._own.boottime_seconds()
        if self._measured is None or ended - began <= SLOWEST_ANSWER_SECONDS:
            self._measured = ((began + ended) / 2, told)

    def _ahead_of(self, own: datetime) -> timedelta:
        if self._measured is None:
            return timedelta(0)
        at, told = self._measured
        return own - (told + timedelta(seconds=self._own.boottime_seconds() - at))


def shared_clock(store: DatabaseTime, own: Clock) -> StoreClock:
    """The database's time as this machine keeps it. Blocks.

    :raises StoreUnavailableError: when the database is away.
    """
    clock = StoreClock(store, own)
    clock.measure()
    return clock


def look_at_clock(clock: Clock) -> None:
    """Compare the machine's clock with the database's, if it is one that can. Blocks, at most twice a minute.

    :raises StoreUnavailableError: when the database is away.
    """
    if isinstance(clock, StoreClock):
        clock.measure()
