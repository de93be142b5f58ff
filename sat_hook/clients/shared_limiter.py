"""Limiters that all processes of an account share through a common register.

A process takes permits on a short lease, and moments in blocks sized by its recent demand. While the register
is unavailable, it continues with its share of the limits as last known, never without a limit.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from math import ceil
from typing import TypeVar

from sat_hook.domain.ports import Clock, Offload, RequestAllowance, RequestRegister

logger = logging.getLogger(__name__)

T = TypeVar("T")

LEASE_SECONDS = 10.0
"""How long a killed process keeps its permits before the others get them."""
BLOCKING_LEASE_SECONDS = 45.0
"""The lease when no thread renews it while threads wait for answers: longer than any of them waits."""
RENEWAL_SECONDS = 1.0
"""How often a busy process renews its lease, and after which an idle one gives it up."""
TROUBLE_SECONDS = 3.0
"""How long to wait before an unavailable register is asked again."""
BLOCK_SECONDS = 0.25
"""How far ahead a process reserves moments at once."""
RETRY_SECONDS = 0.1
"""How soon a process asks again after it got fewer permits than it wanted."""
PROCESSES_ASSUMED = 8
"""Assumed number of processes that share the limits, until the register was reached once."""


class _Share:
    """This process' share of the limits, as arithmetic: no lock, no waiting, no I/O; times in seconds."""

    def __init__(
        self, clock: Clock, *, requests_per_second: float | None, max_in_flight: int, lease_seconds: float
    ) -> None:
        self._clock = clock
        self._rate = requests_per_second
        self._interval = 0.0 if requests_per_second is None else 1.0 / requests_per_second
        self._largest_block = max(1, int(BLOCK_SECONDS * (requests_per_second or 0.0)))
        self._max_in_flight = max_in_flight
        self._lease_seconds = lease_seconds
        self._holders = PROCESSES_ASSUMED
        self._permits = 0
        self._lease_ends = float("-inf")
        self._asked_at = float("-inf")
        self._admitted = 0
        self._peak = 0
        self._moments: deque[float] = deque()
        self._booked_until = float("-inf")
        self._is_leaving = False
        self.in_use = 0
        self.is_cut_off = False

    def admit(self) -> float | None:
        """Admit one request and return how long it waits for its moment; None when it must wait."""
        now = self._clock.boottime_seconds()
        if now >= self._lease_ends or self.in_use >= self._permits:
            return None
        delay = 0.0
        if self._rate is not None:
            # A moment that has passed is lost: using it later would cause a burst.
            while self._moments and self._moments[0] < now - self._interval:
                self._moments.popleft()
            if not self._moments:
                return None
            delay = max(0.0, self._moments.popleft() - now)
        self.in_use += 1
        self._admitted += 1
        self._peak = max(self._peak, self.in_use)
        return delay

    def question(self, waiting: int) -> tuple[int, int]:
        """How many requests in flight and how many moments to ask for now.

        After :meth:`end_lease` only requests still in flight are counted.
        """
        now = self._clock.boottime_seconds()
        elapsed = max(now - self._asked_at, self._interval, 0.001)
        demand = max(waiting, ceil(self._admitted / elapsed * BLOCK_SECONDS))
        # Twice as many, so that growing demand does not need a request for every permit.
        wanted = min(2 * max(self.in_use + waiting, self._peak), self._max_in_flight)
        if self._is_leaving:
            wanted, self._is_leaving = self.in_use, False
        self._asked_at, self._admitted, self._peak = now, 0, self.in_use
        return wanted, min(demand, self._largest_block) if waiting else 0

    def take(self, allowance: RequestAllowance) -> None:
        """Apply the register's answer."""
        self.is_cut_off = False
        self._holders = allowance.holders
        self._permits = allowance.permits
        # Counted from when we asked, so that our lease never outlasts the register's.
        self._lease_ends = self._asked_at + self._lease_seconds
        if self._rate is not None:
            self._book(self._clock.boottime_seconds() + allowance.delay_seconds, allowance.moments)

    def fall_back(self, waiting: int) -> None:
        """Use this process' share while the register is unavailable, by the last known process count."""
        now = self._clock.boottime_seconds()
        self.is_cut_off = True
        self._permits = max(1, self._max_in_flight // self._holders)
        self._lease_ends = now + TROUBLE_SECONDS
        if self._rate is not None:
            room = max(1, int(self._largest_block / self._holders)) - len(self._moments)
            self._book(max(now, self._booked_until), min(waiting, room), self._interval * self._holders)

    def end_lease(self) -> bool:
        """Stop admitting requests; True when the register should be told."""
        had_lease = not self.is_cut_off and self._clock.boottime_seconds() < self._lease_ends
        self._lease_ends = float("-inf")
        self._is_leaving = had_lease
        return had_lease

    @property
    def should_ask(self) -> bool:
        """False while waiting for an unavailable register to recover."""
        return not self.is_cut_off or self._clock.boottime_seconds() >= self._asked_at + TROUBLE_SECONDS

    @property
    def is_due(self) -> bool:
        """True when it is time to ask even if no request waits."""
        return self._clock.boottime_seconds() >= self._asked_at + RENEWAL_SECONDS

    @property
    def is_idle(self) -> bool:
        """True when nothing was in flight since the last exchange with the register."""
        return not self._peak

    def pause_seconds(self) -> float:
        """How long waiting requests wait before the register is asked again."""
        if self.in_use >= self._permits or self._rate is None:
            return RETRY_SECONDS
        ahead = self._booked_until - self._clock.boottime_seconds()
        return max(self._interval, ahead - BLOCK_SECONDS / 2)

    def _book(self, first: float, moments: int, interval: float | None = None) -> None:
        step = self._interval if interval is None else interval
        self._moments.extend(first + step * number for number in range(moments))
        self._booked_until = max(self._booked_until, first + step * moments)


class AsyncSharedLimiter:
    """Limits the tasks of this event loop together with all other processes of the account.

    :param offload: runs the blocking register calls; by default in a thread.
    """

    def __init__(
        self,
        register: RequestRegister,
        clock: Clock,
        *,
        requests_per_second: float | None,
        max_in_flight: int,
        offload: Offload | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._register = register
        self._share = _Share(
            clock,
            requests_per_second=requests_per_second,
            max_in_flight=max_in_flight,
            lease_seconds=LEASE_SECONDS,
        )
        self._offload: Offload = offload or _in_thread
        self._sleep = sleep
        self._waiting: deque[asyncio.Future[float]] = deque()
        self._has_waiters = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    async def acquire(self) -> None:
        """Wait for a permit, then for the moment."""
        delay = None if self._waiting else self._share.admit()
        if delay is None:
            delay = await self._turn()
        if delay > 0:
            try:
                await self._sleep(delay)
            except BaseException:
                self.release()
                raise

    def release(self) -> None:
        """Give the permit back."""
        self._share.in_use -= 1
        self._admit_waiting()

    async def close(self) -> None:
        """Give the lease up."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
            if self._share.end_lease():
                await self._ask(0)

    async def _turn(self) -> float:
        turn: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._has_waiters.set()
        if self._keeper is None:
            self._keeper = asyncio.get_running_loop().create_task(self._keep_lease())
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release()
            raise

    def _admit_waiting(self) -> None:
        while self._waiting:
            if self._waiting[0].done():  # cancelled
                self._waiting.popleft()
                continue
            delay = self._share.admit()
            if delay is None:
                return
            self._waiting.popleft().set_result(delay)

    async def _keep_lease(self) -> None:
        """Ask when a request waits, and renew while requests are in flight; runs until :meth:`close`."""
        while True:
            self._has_waiters.clear()
            if self._waiting or not self._share.is_idle:
                await self._ask(len(self._waiting))
                self._admit_waiting()
            elif self._share.end_lease():
                await self._ask(0)
            if self._waiting:
                await asyncio.sleep(self._share.pause_seconds())
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(RENEWAL_SECONDS):
                    await self._has_waiters.wait()

    async def _ask(self, waiting: int) -> None:
        share = self._share
        allowance: RequestAllowance | None = None
        if share.should_ask:
            wanted, moments = share.question(waiting)
            in_use = share.in_use
            try:
                allowance = await self._offload(
                    lambda: self._register.take(
                        in_use=in_use, wanted=wanted, moments=moments, lease_seconds=LEASE_SECONDS
                    )
                )
            except Exception as error:
                _tell(share, error)
        if allowance is None:
            share.fall_back(waiting)
        else:
            share.take(allowance)


class SharedLimiter:
    """Limits the threads of this process together with all other processes of the account."""

    def __init__(
        self,
        register: RequestRegister,
        clock: Clock,
        *,
        requests_per_second: float | None,
        max_in_flight: int,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._register = register
        self._share = _Share(
            clock,
            requests_per_second=requests_per_second,
            max_in_flight=max_in_flight,
            lease_seconds=BLOCKING_LEASE_SECONDS,
        )
        self._sleep = sleep
        self._changed = threading.Condition()
        self._waiting = 0
        self._is_asking = False

    def acquire(self) -> None:
        """Wait for a permit, then for the moment."""
        with self._changed:
            self._waiting += 1
            try:
                delay = self._admitted()
            finally:
                self._waiting -= 1
        if delay > 0:
            try:
                self._sleep(delay)
            except BaseException:
                self.release()
                raise

    def release(self) -> None:
        """Give the permit back."""
        with self._changed:
            self._share.in_use -= 1
            self._changed.notify()
            if not self._share.in_use and not self._waiting:
                # Callers of single calls rarely close the limiter, and other processes may need the permits.
                self._give_up()

    def close(self) -> None:
        """Give the lease up."""
        with self._changed:
            self._give_up()

    def _give_up(self) -> None:
        if not self._is_asking and self._share.end_lease():
            self._is_asking = True
            try:
                self._ask(0)
            finally:
                self._is_asking = False
                self._changed.notify_all()

    def _admitted(self) -> float:
        while self._share.is_due or (delay := self._share.admit()) is None:
            if not self._is_asking:
                self._is_asking = True
                try:
                    self._ask(self._waiting)
                finally:
                    self._is_asking = False
                    self._changed.notify_all()
            if (delay := self._share.admit()) is not None:
                break
            self._changed.wait(self._share.pause_seconds())
        return delay

    def _ask(self, waiting: int) -> None:
        """Ask the register with the lock released."""
        share = self._share
        allowance: RequestAllowance | None = None
        if share.should_ask:
            wanted, moments = share.question(waiting)
            in_use = share.in_use
            self._changed.release()
            try:
                allowance = self._register.take(
                    in_use=in_use, wanted=wanted, moments=moments, lease_seconds=BLOCKING_LEASE_SECONDS
                )
            except Exception as error:
                _tell(share, error)
            finally:
                self._changed.acquire()
        if allowance is None:
            share.fall_back(waiting)
        else:
            share.take(allowance)


async def _in_thread(work: Callable[[], T]) -> T:
    return await asyncio.to_thread(work)


def _tell(share: _Share, error: Exception) -> None:
    if not share.is_cut_off:
        logger.warning(
            "The shared limits are out of reach (%s); going on with this process' share of them",
            type(error).__name__,
        )
