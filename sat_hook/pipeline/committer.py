"""Group commits: many concurrent senders share one transaction, none waits for a fixed rhythm."""

from __future__ import annotations

import asyncio
from types import TracebackType

from sat_hook.domain.order import Order
from sat_hook.domain.recorded import Provenance
from sat_hook.pipeline.resolver import Ask, Resolution, Resolver
from sat_hook.store.event_store import StoreUnavailableError

TRIES = 5
FIRST_PAUSE_SECONDS = 0.2


class GroupCommitter:
    """Collects asks from many tasks of one event loop and applies them together, one group at a time.

    A group takes what is waiting, at most ``group_size``, once ``group_wait_seconds`` have passed since its
    first ask; asks that come during a commit form the next group. One order may be in a group once.
    """

    def __init__(
        self,
        resolver: Resolver,
        provenance: Provenance,
        *,
        group_size: int = 200,
        group_wait_seconds: float = 0.005,
    ) -> None:
        self._resolver = resolver
        self._provenance = provenance
        self._group_size = group_size
        self._group_wait_seconds = group_wait_seconds
        self._queue: asyncio.Queue[tuple[Ask, Order | None, asyncio.Future[Resolution]]] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> GroupCommitter:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        # A commit that is under way in its thread runs to its end; only the wait for it is given up.
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def commit(self, ask: Ask, known: Order | None = None) -> Resolution:
        """Apply one ask with whoever else is waiting; returns after the transaction was committed.

        :raises StoreUnavailableError: when the database stayed away; whether the commit happened is open,
            and the version fence of the next ask finds out.
        """
        future: asyncio.Future[Resolution] = asyncio.get_running_loop().create_future()
        await self._queue.put((ask, known, future))
        return await future

    async def _run(self) -> None:
        while True:
            group = [await self._queue.get()]
            if self._queue.qsize() < self._group_size:
                await asyncio.sleep(self._group_wait_seconds)
            while len(group) < self._group_size and not self._queue.empty():
                group.append(self._queue.get_nowait())
            asks = [ask for ask, _, _ in group]
            known = {ask.request_id: order for ask, order, _ in group if order is not None}
            try:
                done = await self._apply(asks, known)
            except Exception as error:
                for _, _, future in group:
                    if not future.done():
                        future.set_exception(error)
                continue
            for ask, _, future in group:
                if not future.done():
                    future.set_result(done[ask.request_id])

    async def _apply(self, asks: list[Ask], known: dict[str, Order]) -> dict[str, Resolution]:
        pause = FIRST_PAUSE_SECONDS
        for remaining in reversed(range(TRIES)):
            try:
                return await self._resolver.offload(
                    lambda: self._resolver.apply(asks, self._provenance, known)
                )
            except StoreUnavailableError:
                # Trying again is safe: were the lost commit there after all, the fence turns it into a
                # conflict, and deciding again sees the order as it is (an intent then reads "in flight").
                if not remaining:
                    raise
            await asyncio.sleep(pause)
            pause *= 2
        raise AssertionError("the loop returns or raises on its last try")
