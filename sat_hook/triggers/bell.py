"""A bell that the receiver rings: PostgreSQL's notifications on an account's channel, inside an event loop.

Notifications only hasten: whoever waits here looks into the tables afterwards, rung or not. Connecting, which
blocks, is done in a thread.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import psycopg2
from psycopg2.extensions import connection as Connection

from sat_hook.store.database import Database
from sat_hook.store.event_store import StoreUnavailableError

DEBOUNCE_SECONDS = 0.2


class NotificationBell:
    """Waits for a notification or for a time, whichever comes first. Losing the connection loses no order."""

    def __init__(self, database: Database, channel: str) -> None:
        self._database = database
        self._channel = channel
        self._connection: Connection | None = None
        # A connection that was cut has no file number any more; the event loop still knows it by that.
        self._watched_fileno: int | None = None
        self._rang = asyncio.Event()

    async def __aenter__(self) -> NotificationBell:
        await self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._drop()

    async def wait(self, seconds: float) -> None:
        """Return when it rang (after a short pause, so that a burst wakes once) or after ``seconds``.

        A cut connection rings, too: something may have been missed.
        """
        if self._connection is None:
            await self._listen()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self._rang.wait()
                await asyncio.sleep(DEBOUNCE_SECONDS)
        self._rang.clear()
        if self._connection is not None and self._connection.closed:
            await self._drop()

    async def _listen(self) -> None:
        try:
            self._connection = await asyncio.to_thread(self._database.listen, self._channel)
        except StoreUnavailableError:
            # Polling goes on without notifications; the next wait tries again.
            self._connection = None
            return
        self._watched_fileno = self._connection.fileno()
        asyncio.get_running_loop().add_reader(self._watched_fileno, self._on_readable)

    def _on_readable(self) -> None:
        assert self._connection is not None
        try:
            self._connection.poll()
        except psycopg2.Error:
            self._unwatch()
            self._connection.close()
        else:
            self._connection.notifies.clear()
        self._rang.set()

    def _unwatch(self) -> None:
        if self._watched_fileno is not None:
            asyncio.get_running_loop().remove_reader(self._watched_fileno)
            self._watched_fileno = None

    async def _drop(self) -> None:
        self._unwatch()
        connection, self._connection = self._connection, None
        if connection is not None:
            await asyncio.to_thread(connection.close)
