"""The ports for time, randomness and blocking work.

Code that decides by time takes a :class:`Clock`; only adapters read the system clock. So a simulated day runs
in milliseconds and replays exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

T = TypeVar("T")


class Clock(Protocol):
    """Two readings of time, for different uses."""

    def now(self) -> datetime:
        """The wall clock, aware, in UTC. Use it for times that are recorded or compared between machines."""

    def boottime_seconds(self) -> float:
        """Seconds of a monotonic clock that continues while the machine is suspended."""


class Randomness(Protocol):
    """The only source of randomness (jitter of a delay); ``random.Random`` fits."""

    def random(self) -> float:
        """A float in [0, 1)."""


class Offload(Protocol):
    """Runs blocking work for an event loop: in a thread in production, inline in a simulation."""

    async def __call__(self, work: Callable[[], T]) -> T:
        """The result of ``work``."""


@dataclass(frozen=True, slots=True)
class RequestAllowance:
    """One process' part of the limits that all processes of an account share.

    :param permits: how many requests may be in flight until the lease ends.
    :param holders: how many processes share the limits now, including this one.
    :param moments: how many requests may start, evenly spaced by the limit's interval.
    :param delay_seconds: from now until the first of these moments; may be negative.
    """

    permits: int
    holders: int
    moments: int
    delay_seconds: float


class RequestRegister(Protocol):
    """Keeps the limits that all processes of an account share. Bound to one process' name."""

    def take(self, *, in_use: int, wanted: int, moments: int, lease_seconds: float) -> RequestAllowance:
        """Renew the lease and take moments in one call; blocks.

        :param in_use: requests in flight now; they are never taken away.
        :param wanted: how many requests would be in flight without a limit; 0 gives up the lease.
        :param moments: how many requests are waiting to start.
        """


@dataclass(frozen=True, slots=True)
class SendWindow:
    """Until when a recorded intent may still be sent.

    The window is kept on both clocks: other processes read ``expires_at`` in the log, and
    ``expires_boottime_seconds`` catches a suspended machine or a wall clock that was set back.
    """

    expires_at: datetime
    expires_boottime_seconds: float

    def is_open(self, clock: Clock) -> bool:
        """True while neither clock has passed the end of the window."""
        return clock.now() < self.expires_at and clock.boottime_seconds() < self.expires_boottime_seconds
