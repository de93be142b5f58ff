"""The system clocks."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime

# On Linux CLOCK_MONOTONIC stops while the machine is suspended and CLOCK_BOOTTIME continues. On macOS
# clock_gettime(CLOCK_MONOTONIC) is the clock that continues.
_CONTINUOUS_CLOCK = time.CLOCK_BOOTTIME if sys.platform == "linux" else time.CLOCK_MONOTONIC


class SystemClock:
    """The :class:`~sat_hook.domain.ports.Clock` of a real machine."""

    __slots__ = ()

    def now(self) -> datetime:
        """The wall clock, aware, in UTC."""
        return datetime.now(UTC)

    def boottime_seconds(self) -> float:
        """Seconds of a monotonic clock that continues while the machine is suspended."""
        return time.clock_gettime(_CONTINUOUS_CLOCK)
