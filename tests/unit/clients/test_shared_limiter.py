"""The limiters that processes share: what they ask of a register, and what they do without it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import pytest

from sat_hook.clients.clock import SystemClock
from sat_hook.clients.shared_limiter import (
    LEASE_SECONDS,
    PROCESSES_ASSUMED,
    AsyncSharedLimiter,
    SharedLimiter,
)
from sat_hook.domain.ports import RequestAllowance
from tests.at_once import at_once
from tests.orders import ManualClock

T = TypeVar("T")


@dataclass
class Register:
    """Gives what it is told to give, and remembers what it was asked."""

    permits: int = 4
    holders: int = 1
    is_away: bool = False
    asked: list[dict[str, float]] = field(default_factory=list)

    def take(self, *, in_use: int, wanted: int, moments: int, lease_seconds: float) -> RequestAllowance:
        self.asked.append({"in_use": in_use, "wanted": wanted, "moments": moments})
        if self.is_away:
            raise ConnectionError("the register is away")
        return RequestAllowance(min(self.permits, max(wanted, in_use)), self.holders, moments, 0.0)


async def in_place(work: Callable[[], T]) -> T:
    return work()


def limiter_of(
    register: Register, clock: ManualClock, waits: list[float] | None = None, **limits: float | None
) -> AsyncSharedLimiter:
    async def sleep(seconds: float) -> None:
        if waits is not None:
            waits.append(round(seconds, 6))

    return AsyncSharedLimiter(
        register,
        clock,
        requests_per_second=limits.get("requests_per_second"),
        max_in_flight=int(limits.get("max_in_flight") or 64),
        offload=in_place,
        sleep=sleep,
    )


async def test_permits_are_all_that_is_admitted() -> None:
    """Four permits are four requests; the fifth waits for one that is given back."""
    limiter = limiter_of(Register(permits=4), ManualClock())
    for _ in range(4):
        await limiter.acquire()
    fifth = asyncio.ensure_future(limiter.acquire())
    await asyncio.sleep(0.01)
    assert not fifth.done()
    limiter.release()
    await asyncio.wait_for(fifth, 30)
    await limiter.close()


async def test_a_permit_does_not_cost_a_question() -> None:
    """Once the lease is there, requests come and go without asking the register."""
    register = Register(permits=8)
    limiter = limiter_of(register, ManualClock())
    for _ in range(200):
        await limiter.acquire()
        limiter.release()
    assert len(register.asked) == 1
    await limiter.close()


async def test_moments_are_taken_in_blocks() -> None:
    """Many at once ask for their moments together, and start evenly spaced."""
    register, waits = Register(permits=64), list[float]()
    limiter = limiter_of(register, ManualClock(), waits, requests_per_second=100)
    await asyncio.gather(*(limiter.acquire() for _ in range(20)))
    assert sorted(waits) == pytest.approx([number / 100 for number in range(1, 20)])
    assert [question["moments"] for question in register.asked] == [20]
    await limiter.close()


async def test_a_moment_that_passed_is_lost() -> None:
    """What was not used is no credit: no burst follows a pause."""
    register, clock, waits = Register(permits=64), ManualClock(), list[float]()
    limiter = limiter_of(register, clock, waits, requests_per_second=100)
    await asyncio.gather(*(limiter.acquire() for _ in range(10)))
    for _ in range(10):
        limiter.release()
    clock.advance(2)
    await limiter.acquire()
    assert len(register.asked) == 2
    await limiter.close()


async def test_an_ended_lease_admits_nobody() -> None:
    """A process that was paused for longer than its lease asks first: others may have its permits."""
    register, clock = Register(permits=4), ManualClock()
    limiter = limiter_of(register, clock)
    await limiter.acquire()
    clock.advance(LEASE_SECONDS + 0.1)
    await limiter.acquire()
    assert [question["in_use"] for question in register.asked] == [0, 1]
    await limiter.close()


async def test_a_lease_is_given_up_at_the_end() -> None:
    """Those that stay need not wait until it runs out."""
    register = Register()
    limiter = limiter_of(register, ManualClock())
    await limiter.acquire()
    limiter.release()
    await limiter.close()
    assert register.asked[-1] == {"in_use": 0, "wanted": 0, "moments": 0}


@pytest.mark.parametrize(("known", "share"), [(None, 64 // PROCESSES_ASSUMED), (4, 16)])
async def test_register_that_is_away_leaves_a_share(known: int | None, share: int) -> None:
    """Never without limit: the share by how many were known to share, else by a careful guess."""
    register, clock = Register(permits=64, holders=known or 1), ManualClock()
    limiter = limiter_of(register, clock)
    if known is not None:
        await limiter.acquire()
        limiter.release()
        clock.advance(LEASE_SECONDS + 1)
    register.is_away = True
    requests = [asyncio.ensure_future(limiter.acquire()) for _ in range(64)]
    await asyncio.sleep(0.05)
    assert sum(request.done() for request in requests) == share
    questions = len(register.asked)
    await asyncio.sleep(0.25)
    assert len(register.asked) == questions  # it is given time to come back
    for request in requests:
        request.cancel()
    await asyncio.gather(*requests, return_exceptions=True)
    await limiter.close()


async def test_register_that_is_away_leaves_a_share_of_the_pace() -> None:
    """Two known processes: every second moment of the limit."""
    register, clock, waits = Register(permits=64, holders=2), ManualClock(), list[float]()
    limiter = limiter_of(register, clock, waits, requests_per_second=100)
    await limiter.acquire()
    clock.advance(LEASE_SECONDS + 1)
    register.is_away = True
    requests = [asyncio.ensure_future(limiter.acquire()) for _ in range(5)]
    await asyncio.gather(*requests)
    assert sorted(waits) == pytest.approx([0.02, 0.04, 0.06, 0.08])
    await limiter.close()


async def test_request_that_is_given_up_while_waiting_leaves_its_turn() -> None:
    """A cancelled caller takes nothing along."""
    limiter = limiter_of(Register(permits=1), ManualClock(), max_in_flight=1)
    await limiter.acquire()
    given_up, patient = (asyncio.ensure_future(limiter.acquire()) for _ in range(2))
    await asyncio.sleep(0.01)
    given_up.cancel()
    await asyncio.sleep(0)
    limiter.release()
    await asyncio.wait_for(patient, 30)
    limiter.release()
    await asyncio.wait_for(limiter.acquire(), 30)
    await limiter.close()


def test_threads_share_the_permits() -> None:
    """Three permits, twelve threads: never more than three at once, and the lease is given up when idle."""
    register = Register(permits=3)
    limiter = SharedLimiter(register, SystemClock(), requests_per_second=None, max_in_flight=3)
    guard = threading.Lock()
    now = most = 0

    def work(_: int) -> None:
        nonlocal now, most
        limiter.acquire()
        with guard:
            now += 1
            most = max(most, now)
        time.sleep(0.005)
        with guard:
            now -= 1
        limiter.release()

    at_once(12, work)
    assert (now, most) == (0, 3)
    assert register.asked[-1]["wanted"] == 0
    limiter.close()


def test_threads_fall_back_to_their_share() -> None:
    """A register that is away lets one of eight through."""
    register = Register(is_away=True)
    limiter = SharedLimiter(register, SystemClock(), requests_per_second=None, max_in_flight=8)
    limiter.acquire()
    blocked = threading.Thread(target=limiter.acquire, daemon=True)
    blocked.start()
    blocked.join(0.2)
    assert blocked.is_alive()
    limiter.release()
    blocked.join(60)
    assert not blocked.is_alive()
