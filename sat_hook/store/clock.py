"""One time for all machines: PostgreSQL's clock, continued by a monotonic clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

from sat_hook.domain.ports import Clock

AGREEMENT = timedelta(seconds=2)
"""Largest difference from the database's clock at which a machine's clock counts as right."""
MEASURE_EVERY_SECONDS = 30.0
SLOWEST_ANSWER_SECONDS = 1.0
"""An answer that took longer is ignored: it is too imprecise."""


class DatabaseTime(Protocol):
    """Anything that can return the database's time."""

    def database_time(self) -> datetime:
        """The database's clock, aware, in UTC."""


class StoreClock:
    """The machine's clock while it agrees with the database's; otherwise the database's time.

    So times that are recorded or compared between machines do not depend on one machine's wall clock. Before
    the first call of :meth:`measure` it is the machine's clock.
    """

    def __init__(self, store: DatabaseTime, own: Clock) -> None:
        self._store = store
        self._own = own
        self._measured: tuple[float, datetime] | None = None

    def now(self) -> datetime:
        """The wall clock, aware, in UTC. Use it for times that are recorded or compared between machines."""
        own = self._own.now()
        ahead = self._ahead_of(own)
        return own if abs(ahead) <= AGREEMENT else own - ahead

    def boottime_seconds(self) -> float:
        """Seconds of a monotonic clock that continues while the machine is suspended."""
        return self._own.boottime_seconds()

    @property
    def ahead(self) -> timedelta:
        """How far the machine's clock is ahead of the database's; negative when it is behind."""
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
    """A clock that follows the database's time. Blocks.

    :raises StoreUnavailableError: when the database is away.
    """
    clock = StoreClock(store, own)
    clock.measure()
    return clock


def look_at_clock(clock: Clock) -> None:
    """Compare the machine's clock with the database's, if the clock supports it. Blocks, at most twice a
    minute.

    :raises StoreUnavailableError: when the database is away.
    """
    if isinstance(clock, StoreClock):
        clock.measure()


def clock_is_apart(clock: Clock, grace_seconds: float) -> str | None:
    """Why this machine must not send: its clock differs from the database's by more than the grace. Blocks.

    :raises StoreUnavailableError: when the database is away.
    """
    if not isinstance(clock, StoreClock):
        return None
    clock.measure()
    ahead = clock.ahead.total_seconds()
    if abs(ahead) <= grace_seconds:
        return None
    return (
        f"this machine's clock is {abs(ahead):,.0f} seconds {'ahead of' if ahead > 0 else 'behind'} the "
        f"database's; expected at most {grace_seconds:g}. Set it, best by NTP, then clear the task"
    )
