"""Listens to PostgreSQL notifications on an account's channel, inside an event loop.

The receiver sends them; their payload names a batch and its called orders. They only shorten a wait: waits
also look at the tables. All listeners of an event loop share one connection to a database. A thread opens the
connection, because that blocks.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from weakref import WeakKeyDictionary

import psycopg2
from psycopg2.extensions import connection as Connection

from sat_hook.store.database import Database, listen_on
from sat_hook.store.errors import StoreUnavailableError

DEBOUNCE_SECONDS = 0.2
RECONNECT_SECONDS = 2.0

logger = logging.getLogger(__name__)


class NotificationListener:
    """Waits for a notification or a timeout, whichever is first. A lost connection loses no order."""

    def __init__(self, database: Database, channel: str) -> None:
        self.channel = channel
        self.rang = asyncio.Event()
        self._payloads: set[str] = set()
        self._database = database
        self._listener: _Listener | None = None

    async def __aenter__(self) -> NotificationListener:
        self._listener = _listener_of(self._database)
        self._listener.listeners.add(self)
        await self._listener.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._listener is not None
        self._listener.leave(self)

    async def wait(self, seconds: float) -> frozenset[str]:
        """Return on a notification (after a short pause, so that a burst wakes once) or after ``seconds``.

        A lost connection also ends the wait, because a notification may have been missed.

        :returns: the payloads heard since the last call; an empty one may be about anything.
        """
        assert self._listener is not None
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                while not self.rang.is_set():
                    await self._listener.listen()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(self._listener.seconds_to_retry):
                            await self.rang.wait()
                await asyncio.sleep(DEBOUNCE_SECONDS)
        self.rang.clear()
        heard, self._payloads = frozenset(self._payloads), set()
        return heard

    def ring(self, payload: str) -> None:
        """End the wait."""
        self._payloads.add(payload)
        self.rang.set()


class _Listener:
    """The connection that listens for all waiters of one event loop and database, while there are any."""

    def __init__(self, database: Database) -> None:
        self.listeners: set[NotificationListener] = set()
        self._database = database
        self._connection: Connection | None = None
        self._heard: set[str] = set()
        self._connecting: asyncio.Task[None] | None = None
        self._rests_until = 0.0
        # A lost connection no longer has a file number, but the event loop still needs that number.
        self._watched_fileno: int | None = None

    async def listen(self) -> None:
        """Listen on the channels of all waiters. When the database is away, a later call tries again."""
        while self._missing() and time.monotonic() >= self._rests_until:
            if self._connecting is None:
                self._connecting = asyncio.create_task(self._connect())
            # Several tasks wait for it: cancelling one of them does not stop it.
            await asyncio.shield(self._connecting)

    @property
    def seconds_to_retry(self) -> float | None:
        """When to call :meth:`listen` again; None while it listens, or when it never will."""
        if not self._missing() or self._rests_until == float("inf"):
            return None
        return max(0.0, self._rests_until - time.monotonic())

    def leave(self, listener: NotificationListener) -> None:
        """Remove a listener; the last one closes the connection."""
        self.listeners.discard(listener)
        if not self.listeners and self._connecting is None:
            self._drop()

    def _missing(self) -> set[str]:
        return {listener.channel for listener in self.listeners} - self._heard

    async def _connect(self) -> None:
        self._unwatch()
        try:
            while missing := self._missing():
                if not await asyncio.to_thread(self._listen_on, missing):
                    self._rests_until = float("inf")
                    logger.warning(
                        "Callbacks wake no waiting task: the application database is behind a pooler. "
                        "Waits look every few seconds. Give its connection the extra fields listen_host and "
                        "listen_port, which lead to PostgreSQL itself."
                    )
                    break
                self._heard |= missing
        except (StoreUnavailableError, psycopg2.Error):
            # Polling goes on without notifications.
            self._rests_until = time.monotonic() + RECONNECT_SECONDS
            self._drop()
        finally:
            self._connecting = None
        if not self.listeners:
            self._drop()
        elif self._connection is not None:
            self._watched_fileno = self._connection.fileno()
            asyncio.get_running_loop().add_reader(self._watched_fileno, self._on_readable)
            self._on_readable()  # notifications that arrived before the reader was added

    def _listen_on(self, channels: set[str]) -> bool:
        """Blocks; runs in a thread. False when this connection cannot receive notifications."""
        for channel in sorted(channels):
            if self._connection is None:
                self._connection = self._database.listen(channel)
                if self._connection is None:
                    return False
            else:
                listen_on(self._connection, channel)
        return True

    def _on_readable(self) -> None:
        assert self._connection is not None
        try:
            self._connection.poll()
        except psycopg2.Error:
            self._drop()
            for listener in self.listeners:
                listener.ring("")
            return
        notices = self._connection.notifies
        for listener in self.listeners:
            for notice in notices:
                if notice.channel == listener.channel:
                    listener.ring(notice.payload)
        notices.clear()

    def _unwatch(self) -> None:
        if self._watched_fileno is not None:
            asyncio.get_running_loop().remove_reader(self._watched_fileno)
            self._watched_fileno = None

    def _drop(self) -> None:
        self._unwatch()
        self._heard.clear()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


_listeners: WeakKeyDictionary[asyncio.AbstractEventLoop, WeakKeyDictionary[Database, _Listener]] = (
    WeakKeyDictionary()
)


def _listener_of(database: Database) -> _Listener:
    of_loop = _listeners.setdefault(asyncio.get_running_loop(), WeakKeyDictionary())
    return of_loop.setdefault(database, _Listener(database))
