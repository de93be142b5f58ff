"""Wait for the ends of a batch's orders, inside the triggerer.

Woken by the account's notification channel, else by the poll schedule. Notifications only hasten: everything
is found again in the tables when they are lost. Database calls run in threads, never on the loop.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent
from psycopg2.extensions import connection as Connection

from sat_hook.domain.recorded import Provenance
from sat_hook.hooks.application import ApplicationHook
from sat_hook.hooks.sat import SATHook
from sat_hook.pipeline.finality import StatusPoller, orders_in_flight
from sat_hook.store.database import Database
from sat_hook.store.event_store import StoreUnavailableError
from sat_hook.store.poll_schedule import PollScope, callback_channel

# Also how late this instance notices that another one, or a task, has ended the batch's last order.
LONGEST_SLEEP_SECONDS = 5.0
DEBOUNCE_SECONDS = 0.2
TROUBLE_PAUSE_SECONDS = 5.0

ENDED = "ended"
GAVE_UP = "gave_up"


class SATBatchTrigger(BaseTrigger):
    """Fires when no order of the batch is in flight any more, or when the deadline has passed.

    Two instances at once are harmless: they share the due orders, and every end is fenced by version.

    :param batch_id: the batch.
    :param sat_conn_id: the account's connection.
    :param db_conn_id: the application database's connection.
    :param deadline: ISO 8601 with offset; when to stop waiting.
    """

    def __init__(self, *, batch_id: str, sat_conn_id: str, db_conn_id: str, deadline: str) -> None:
        super().__init__()
        self.batch_id = batch_id
        self.sat_conn_id = sat_conn_id
        self.db_conn_id = db_conn_id
        self.deadline = deadline

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "batch_id": self.batch_id,
                "sat_conn_id": self.sat_conn_id,
                "db_conn_id": self.db_conn_id,
                "deadline": self.deadline,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        application = ApplicationHook(self.db_conn_id, "sat trigger")
        await application.aconnect()
        hook = SATHook(self.sat_conn_id, application.database)
        settings = await hook.asettings()
        channel = callback_channel(settings.account)
        deadline = datetime.fromisoformat(self.deadline)
        scope = PollScope(batch_id=self.batch_id)
        provenance = Provenance("service:airflow", f"poll of batch {self.batch_id}")
        async with (
            aclosing_in_thread(application.database),
            hook.async_client() as sat,
            _Bell(application.database, channel) as bell,
        ):
            poller = StatusPoller(
                application.resolver,
                application.schedule,
                sat,
                random.SystemRandom(),
                trusted=application.trusted_callbacks(settings),
            )
            while True:
                try:
                    report = await poller.poll_due(scope, provenance)
                    in_flight = await asyncio.to_thread(orders_in_flight, application.resolver, self.batch_id)
                    pause = await poller.seconds_to_next(scope)
                except StoreUnavailableError as error:
                    self.log.warning("The application database is away, waiting for it: %s", error)
                    await asyncio.sleep(TROUBLE_PAUSE_SECONDS)
                    continue
                if report.unproven:
                    self.log.warning("Answers about statuses that prove nothing: %s", dict(report.unproven))
                if not in_flight:
                    yield TriggerEvent({"end": ENDED, "in_flight": 0})
                    return
                remaining = (deadline - datetime.now(UTC)).total_seconds()
                if remaining <= 0:
                    yield TriggerEvent({"end": GAVE_UP, "in_flight": in_flight})
                    return
                await bell.wait(min(remaining, LONGEST_SLEEP_SECONDS, pause or DEBOUNCE_SECONDS))


@asynccontextmanager
async def aclosing_in_thread(database: Database) -> AsyncIterator[None]:
    """Give the connections of a trigger back at its end: a triggerer lives for weeks, a trigger does not."""
    try:
        yield
    finally:
        await asyncio.to_thread(database.close)


class _Bell:
    """Waits for a notification or for a time, whichever comes first. Losing the connection loses no order."""

    def __init__(self, database: Database, channel: str) -> None:
        self._database = database
        self._channel = channel
        self._connection: Connection | None = None
        self._rang = asyncio.Event()

    async def __aenter__(self) -> _Bell:
        await self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._drop()

    async def wait(self, seconds: float) -> None:
        """Return when it rang (after a short pause, so that a burst wakes once) or after ``seconds``."""
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
        asyncio.get_running_loop().add_reader(self._connection.fileno(), self._on_readable)

    def _on_readable(self) -> None:
        assert self._connection is not None
        try:
            self._connection.poll()
        except Exception:
            asyncio.get_running_loop().remove_reader(self._connection.fileno())
            self._connection.close()
        self._connection.notifies.clear()
        self._rang.set()

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if not connection.closed:
            asyncio.get_running_loop().remove_reader(connection.fileno())
            await asyncio.to_thread(connection.close)
