"""The system's own clocks."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime

# Linux's CLOCK_MONOTONIC stands still while the machine is suspended, CLOCK_BOOTTIME goes on. On macOS the
# names are the other way round: clock_gettime(CLOCK_MONOTONIC) is the continuous one.
_CONTINUOUS_CLOCK = time.CLOCK_BOOTTIME if sys.platform == "linux" else time.CLOCK_MONOTONIC


class SystemClock:
    """The :class:`~sat_hook.domain.ports.Clock` of a real machine."""

    __slots__ = ()

    def now(self) -> datetime:
        """The wall clock, aware, in UTC."""
        return datetime.now(UTC)

    def boottime_seconds(self) -> float:
        """Seconds of a clock that never jumps and goes on while the machine is suspended."""
        return time.clock_gettime(_CONTINUOUS_CLOCK)
