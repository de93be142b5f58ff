"""Time that passes only when everybody waits: a clock, and an event loop that jumps from timer to timer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

BOOT_SECONDS = 1000.0


class StandstillError(RuntimeError):
    """Everybody waits and nothing will ever happen: a deadlock of what is simulated."""


class VirtualTime:
    """The seconds that have passed since the simulation began, the same for everybody."""

    def __init__(self, start: datetime) -> None:
        self.start = start.astimezone(UTC)
        self.seconds = 0.0

    def at(self, posix_seconds: float) -> float:
        """The virtual second of a POSIX time."""
        return posix_seconds - self.start.timestamp()


class VirtualClock:
    """The two readings of one machine's clock; ``skew_seconds`` is how wrong its wall clock is."""

    def __init__(self, time: VirtualTime, skew_seconds: float = 0.0) -> None:
        self._time = time
        self._skew_seconds = skew_seconds

    @property
    def skew_seconds(self) -> float:
        """How far ahead its wall clock is."""
        return self._skew_seconds

    def now(self) -> datetime:
        return self._time.start + timedelta(seconds=self._time.seconds + self._skew_seconds)

    def boottime_seconds(self) -> float:
        return BOOT_SECONDS + self._time.seconds


class _Idle:
    """Stands where the selector of a real loop stands: instead of waiting, time moves on."""

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
        # Tasks of killed processes end with exceptions that nobody collects; that is what a kill means.
        self.set_exception_handler(lambda loop, context: None)

    def time(self) -> float:
        return self._virtual_time.seconds

    def run_in_executor(  # type: ignore[override]
        self, executor: object, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Threads would break the replay, so their work is done in place."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def _process_events(self, events: list[Any]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody sleeps in a selector that had to be woken."""


def run_virtually(time: VirtualTime, main: Callable[[], Any]) -> Any:
    """Run a coroutine function to its end; whatever is still running then is cancelled."""
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
