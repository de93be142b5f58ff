"""The kill switch: within a second of a pause, no process sends from the account."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial

from sat_hook.commands.handler import CommandHandler, standing_of
from sat_hook.store.errors import StoreUnavailableError

LOOK_EVERY_SECONDS = 0.5


class PauseWatch:
    """Checks accounts while orders are sent from them, and calls ``stop`` once one is paused.

    :param others: further checks, each of which says whether it has stopped the sending.

    The first check is before the block begins; the next ones follow every half second.
    """

    def __init__(
        self,
        handler: CommandHandler,
        accounts: Iterable[str],
        stop: Callable[[str], None],
        others: Iterable[Callable[[], bool]] = (),
    ) -> None:
        self._handler = handler
        self._accounts = tuple(accounts)
        self._stop = stop
        self._others = tuple(others)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        if not await self._look():
            self._task = asyncio.create_task(self._watch())

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_SECONDS)
            try:
                if await self._look():
                    return
            except StoreUnavailableError:
                # Without the database no intent can be committed, so nothing is sent meanwhile either.
                continue

    async def _look(self) -> bool:
        for account in self._accounts:
            standing = await self._handler.offload(partial(standing_of, self._handler.store, account))
            if standing.is_paused:
                self._stop(f"account {account!r} is paused: {standing.pause_reason}")
                return True
        for other in self._others:
            if await self._handler.offload(other):
                return True
        return False
