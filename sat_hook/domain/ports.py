"""Where time, randomness and sleep enter.

Everything that decides by time takes a :class:`Clock`; nothing below the adapters reads the system's clock
by itself. That is what lets a simulated day run in milliseconds and replay exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

T = TypeVar("T")


class Clock(Protocol):
    """Two readings of time, because each answers a question that the other cannot."""

    def now(self) -> datetime:
        """The wall clock, aware, in UTC: what is written down and compared between machines."""

    def boottime_seconds(self) -> float:
        """Seconds of a clock that never jumps and goes on while the machine is suspended."""


class Randomness(Protocol):
    """The only source of chance (jitter of a delay); ``random.Random`` fits."""

    def random(self) -> float:
        """A float in [0, 1)."""


class Offload(Protocol):
    """How an event loop has blocking work done: in a thread in life, in place in a simulation."""

    async def __call__(self, work: Callable[[], T]) -> T:
        """The result of ``work``."""


@dataclass(frozen=True, slots=True)
class RequestAllowance:
    """What one process may do within the limits that all processes of an account share.

    :param permits: so many requests in flight, until the lease ends.
    :param holders: how many processes share the limits at the moment, this one included.
    :param moments: so many requests may start, evenly spaced by the limit's interval.
    :param delay_seconds: from now until the first of these moments; may be negative.
    """

    permits: int
    holders: int
    moments: int
    delay_seconds: float


class RequestRegister(Protocol):
    """Where the limits that all processes of an account share are kept; bound to one process' name."""

    def take(self, *, in_use: int, wanted: int, moments: int, lease_seconds: float) -> RequestAllowance:
        """Renew the lease and take moments, in one go; blocks.

        :param in_use: requests in flight now; they are never taken away.
        :param wanted: requests that there would be in flight if nothing limited them; 0 gives the lease up.
        :param moments: how many requests would like to start.
        """


@dataclass(frozen=True, slots=True)
class SendWindow:
    """Until when a recorded intent may still leave this machine.

    The window is kept on both clocks: ``expires_at`` is what other processes read in the log, and
    ``expires_boottime_seconds`` catches a suspended machine or a wall clock that was set back.
    """

    expires_at: datetime
    expires_boottime_seconds: float

    @classmethod
    def opening_now(cls, clock: Clock, seconds: float) -> SendWindow:
        """A window that closes ``seconds`` from now on both clocks."""
        return cls(clock.now() + timedelta(seconds=seconds), clock.boottime_seconds() + seconds)

    def is_open(self, clock: Clock) -> bool:
        """True while neither clock has passed its end."""
        return clock.now() < self.expires_at and clock.boottime_seconds() < self.expires_boottime_seconds
