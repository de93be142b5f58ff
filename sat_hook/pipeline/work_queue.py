"""A work queue for many tasks of one event loop, which fetches the next page while tasks work."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Generic, TypeVar

from sat_hook.commands.handler import CommandHandler
from sat_hook.domain.order import Order
from sat_hook.store.event_store import OrderSlice

T = TypeVar("T")

PAGE = 500


class WorkQueue(Generic[T]):
    """Gives each item to one of many tasks, in order, and fetches the next page ahead.

    :param fetch: the next page, which may be empty; None when there are no more. Called once at a time.
    """

    def __init__(self, fetch: Callable[[], Awaitable[list[T] | None]]) -> None:
        self._fetch = fetch
        self._fetched: deque[T] = deque()
        self._fetching: asyncio.Future[list[T] | None] | None = None
        self._lock = asyncio.Lock()
        self._is_over = False
        self._hire: Callable[[int], None] | None = None

    async def each(
        self,
        handle: Callable[[T], Awaitable[None]],
        at_once: int,
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        """Process the items, at most ``at_once`` at a time, until there are no more or ``is_stopped``.

        After an error no further item is started, and running calls finish before the error is raised. A task
        group would cancel them instead, and a cancelled call has an unknown outcome.
        """
        workers: list[asyncio.Future[None]] = []
        errors: list[BaseException] = []

        async def work() -> None:
            try:
                while not errors and not is_stopped() and (item := await self._next()) is not None:
                    await handle(item)
            except BaseException as error:
                errors.append(error)
                raise

        def hire(found: int) -> None:
            # A page may be one order, and a poller may find nothing to do a thousand times.
            places = min(found, at_once - len(workers))
            workers.extend(asyncio.ensure_future(work()) for _ in range(places))

        self._hire = hire
        if not is_stopped():
            await self._fill()
        seen = 0
        while seen < len(workers):
            started, seen = workers[seen:], len(workers)
            await asyncio.gather(*started, return_exceptions=True)
        self._hire = None
        if self._fetching is not None:
            await asyncio.gather(self._fetching, return_exceptions=True)
        if errors:
            raise errors[0]

    async def count_rest(self) -> int:
        """The number of items that were not started."""
        count = 0
        while await self._next() is not None:
            count += 1
        return count

    async def _next(self) -> T | None:
        if not self._fetched:
            await self._fill()
        return self._fetched.popleft() if self._fetched else None

    async def _fill(self) -> None:
        async with self._lock:
            while not self._fetched and not self._is_over:
                await self._take_page()

    async def _take_page(self) -> None:
        fetching = self._fetching or asyncio.ensure_future(self._fetch())
        # Done, unless this page arrives: an error is raised once and ends the queue.
        self._fetching, self._is_over = None, True
        page = await fetching
        if page is not None:
            self._is_over = False
            self._fetched.extend(page)
            self._fetching = asyncio.ensure_future(self._fetch())
            if self._hire is not None:
                self._hire(len(page))


def orders_of(
    handler: CommandHandler, which: OrderSlice, choose: Callable[[list[Order]], list[Order]]
) -> WorkQueue[Order]:
    """The orders of a slice in row order.

    :param choose: selects the orders of a page; runs in the event loop's thread.
    """
    after_row = 0

    async def fetch() -> list[Order] | None:
        nonlocal after_row
        page = await handler.offload(partial(handler.store.orders_of_batch, which, after_row, PAGE))
        if not page:
            return None
        after_row = page[-1].row_number
        return choose(page)

    return WorkQueue(fetch)
