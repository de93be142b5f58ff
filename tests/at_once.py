"""The same work in several threads that begin together."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def at_once(times: int, work: Callable[[int], T]) -> list[T]:
    """The result of each thread's work, which is given its number. The first error is raised."""
    barrier = threading.Barrier(times)

    def one(number: int) -> T:
        barrier.wait(60)
        return work(number)

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(one, range(times)))
