"""Virtual time, which passes only when every task waits: a clock, and an event loop that jumps from timer to
timer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

BOOT_SECONDS = 1000.0


class StandstillError(RuntimeError):
    """Every task waits and no timer is left: the simulated system has a deadlock."""


class VirtualTime:
    """The seconds since the simulation began, the same for all processes."""

    def __init__(self, start: datetime) -> None:
        self.start = start.astimezone(UTC)
        self.seconds = 0.0

    def at(self, posix_seconds: float) -> float:
        """Return the virtual second of a POSIX time."""
        return posix_seconds - self.start.timestamp()


class VirtualClock:
    """The two readings of one machine's clock; ``skew_seconds`` is the error of its wall clock."""

    def __init__(self, time: VirtualTime, skew_seconds: float = 0.0) -> None:
        self._time = time
        self._skew_seconds = skew_seconds

    @property
    def skew_seconds(self) -> float:
        """How far its wall clock is ahead."""
        return self._skew_seconds

    def now(self) -> datetime:
        return self._time.start + timedelta(seconds=self._time.seconds + self._skew_seconds)

    def boottime_seconds(self) -> float:
        return BOOT_SECONDS + self._time.seconds


class _Idle:
    """Replaces the selector of a real loop: instead of waiting, it advances time."""

    def __init__(self, time: VirtualTime) -> None:
        self._time = time

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise StandstillError("nothing is ready, and no timer is set")
        if timeout > 0:
            self._time.seconds += timeout
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    """asyncio without sockets, threads or waiting: sleeps and timeouts are virtual, the order is exact."""

    def __init__(self, time: VirtualTime) -> None:
        super().__init__()
        self._virtual_time = time
        self._selector = _Idle(time)
        self._clock_resolution = 1e-6
        # Tasks of killed processes end with exceptions that are never collected; a kill has no handler.
        self.set_exception_handler(lambda loop, context: None)

    def time(self) -> float:
        return self._virtual_time.seconds

    def run_in_executor(  # type: ignore[override]
        self, executor: object, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Run the work in place: threads would break the replay."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def _process_events(self, events: list[Any]) -> None:
        """Do nothing: there are no events."""

    def _write_to_self(self) -> None:
        """Do nothing: no selector sleeps."""


def run_virtually(time: VirtualTime, main: Callable[[], Any]) -> Any:
    """Run a coroutine function to its end, then cancel everything that is still running."""
    loop = VirtualLoop(time)
    try:
        return loop.run_until_complete(main())
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.close()
