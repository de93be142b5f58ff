"""Group the work of many tasks of one event loop: one transaction instead of a hundred."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class MicroBatcher(Generic[T, R]):
    """Collects items and processes them in groups.

    A group takes the waiting items, at most ``size``, once ``wait_seconds`` have passed since its first item.
    Items that arrive while a group is processed form the next.

    :param work: takes a group and returns one result for each item, in order. Its error is the error of every
        item of the group.
    """

    def __init__(
        self,
        work: Callable[[list[T]], Awaitable[Sequence[R]]],
        *,
        size: int,
        wait_seconds: float,
    ) -> None:
        self._work = work
        self._size = size
        self._wait_seconds = wait_seconds
        self._waiting: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._has_waiting = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> MicroBatcher[T, R]:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Work in a thread runs to its end; only the wait for it is cancelled.
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def put(self, item: T) -> R:
        """The result of ``item``, once its group is done; raises the error of the group's work."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        self._has_waiting.set()
        return await future

    async def _run(self) -> None:
        while True:
            await self._has_waiting.wait()
            if len(self._waiting) < self._size:
                await asyncio.sleep(self._wait_seconds)
            group = [self._waiting.popleft() for _ in range(min(self._size, len(self._waiting)))]
            if not self._waiting:
                self._has_waiting.clear()
            try:
                results = await self._work([item for item, _ in group])
            except Exception as error:
                for _, future in group:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), result in zip(group, results, strict=True):
                if not future.done():
                    future.set_result(result)
