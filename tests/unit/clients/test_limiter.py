"""The limiter of one process: even spacing, bounded concurrency, nothing lost when a wait is given up."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sat_hook.clients.limiter import AsyncProcessLimiter, ProcessLimiter


def test_requests_are_spaced_evenly(clock: Any) -> None:
    """Ten a second means a tenth of a second between two, and idle time is not saved up."""
    waits: list[float] = []
    limiter = ProcessLimiter(clock, requests_per_second=10, max_in_flight=9, sleep=waits.append)
    for _ in range(3):
        limiter.acquire()
    clock.advance(100)
    limiter.acquire()
    limiter.acquire()
    assert waits == pytest.approx([0.1, 0.2, 0.1])


def test_interrupted_wait_keeps_its_slot(clock: Any) -> None:
    """A wait that is interrupted gives its slot back."""

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    limiter = ProcessLimiter(clock, requests_per_second=1, max_in_flight=1, sleep=interrupted)
    limiter.acquire()
    limiter.release()
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            limiter.acquire()


async def test_cancelled_wait_keeps_its_slot(clock: Any) -> None:
    """A task that is cancelled while it waits gives its slot back."""
    limiter = AsyncProcessLimiter(clock, requests_per_second=0.01, max_in_flight=1)
    await limiter.acquire()
    limiter.release()
    waiting = asyncio.ensure_future(limiter.acquire())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    clock.advance(1000)
    await asyncio.wait_for(limiter.acquire(), 30)
