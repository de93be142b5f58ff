"""What the triggers of one event loop share. A triggerer has one loop; tests have many."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

Key = TypeVar("Key")
Shared = TypeVar("Shared")


class OfEventLoop(Generic[Key, Shared]):
    """One thing for each key, which is made when it is first asked for and goes with its event loop.

    :param make: makes the thing of a key.
    """

    def __init__(self, make: Callable[[Key], Shared]) -> None:
        self._make = make
        self._kept: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Key, Shared]] = WeakKeyDictionary()

    def of(self, key: Key) -> Shared:
        """The thing of this key in the running event loop."""
        kept = self._kept.setdefault(asyncio.get_running_loop(), {})
        if key not in kept:
            kept[key] = self._make(key)
        return kept[key]
