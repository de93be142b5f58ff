"""Limits on requests: two ports, and the implementations for one process.

The limiters that all workers of an account share are in :mod:`~sat_hook.clients.shared_limiter`.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from sat_hook.domain.ports import Clock


class BlockingLimiter(Protocol):
    """Admission of requests for threads."""

    def acquire(self) -> None:
        """Wait until one more request may be made."""

    def release(self) -> None:
        """The request is over."""

    def close(self) -> None:
        """Nothing more is asked of this limiter."""


class AsyncLimiter(Protocol):
    """Admission of requests for tasks."""

    async def acquire(self) -> None:
        """Wait until one more request may be made."""

    def release(self) -> None:
        """The request is over."""

    async def close(self) -> None:
        """Nothing more is asked of this limiter."""


class _Pace:
    """Spaces requests evenly: each takes the next free moment. There are no bursts, so no bucket to tune."""

    __slots__ = ("_interval_seconds", "_next_at")

    def __init__(self, requests_per_second: float | None) -> None:
        self._interval_seconds = 0.0 if requests_per_second is None else 1.0 / requests_per_second
        self._next_at = float("-inf")

    def delay_seconds(self, now: float) -> float:
        """Take the next moment and return how far away it is."""
        moment = max(now, self._next_at)
        self._next_at = moment + self._interval_seconds
        return moment - now


class ProcessLimiter:
    """Limits the threads of this process."""

    def __init__(
        self,
        clock: Clock,
        *,
        requests_per_second: float | None,
        max_in_flight: int,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock = clock
        self._pace = _Pace(requests_per_second)
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(max_in_flight)
        self._sleep = sleep

    def acquire(self) -> None:
        """Wait for a slot, then for the moment."""
        self._slots.acquire()
        with self._lock:
            delay = self._pace.delay_seconds(self._clock.boottime_seconds())
        if delay > 0:
            try:
                self._sleep(delay)
            except BaseException:
                self._slots.release()
                raise

    def release(self) -> None:
        """Give the slot back."""
        self._slots.release()

    def close(self) -> None:
        """There is nothing to give up."""


class AsyncProcessLimiter:
    """Limits the tasks of this process' event loop."""

    def __init__(
        self,
        clock: Clock,
        *,
        requests_per_second: float | None,
        max_in_flight: int,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._pace = _Pace(requests_per_second)
        self._slots = asyncio.BoundedSemaphore(max_in_flight)
        self._sleep = sleep

    async def acquire(self) -> None:
        """Wait for a slot, then for the moment."""
        await self._slots.acquire()
        delay = self._pace.delay_seconds(self._clock.boottime_seconds())
        if delay > 0:
            try:
                await self._sleep(delay)
            except BaseException:
                self._slots.release()
                raise

    def release(self) -> None:
        """Give the slot back."""
        self._slots.release()

    async def close(self) -> None:
        """There is nothing to give up."""
