"""Wait for the ends of orders, inside the triggerer: the common part of waiting for a batch or an order.

The account's notification channel or the poll schedule wakes the wait. Notifications only shorten it: if they
are lost, the tables still show every change. Database calls run in threads, never on the loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import datetime
from functools import partial
from typing import Any, ClassVar

from airflow.triggers.base import BaseTrigger, TriggerEvent

from sat_hook.application.batch_run import BatchRun
from sat_hook.application.run_facts import RunFacts
from sat_hook.domain.event_record import Provenance
from sat_hook.hooks.application_database import ApplicationHook
from sat_hook.hooks.ports import ports_of
from sat_hook.hooks.sat import SATHook
from sat_hook.pipeline.sat_api import SATApi
from sat_hook.store.errors import StoreUnavailableError
from sat_hook.store.poll_schedule import callback_channel
from sat_hook.triggers.connection_refresh import REREAD_SECONDS, changed_connection
from sat_hook.triggers.notifications import DEBOUNCE_SECONDS, NotificationListener

# Also the maximum delay until this instance notices that another one, or a task, has ended the wait.
LONGEST_SLEEP_SECONDS = 5.0
TROUBLE_PAUSE_SECONDS = 5.0

ENDED = "ended"
GAVE_UP = "gave_up"


class SATOrderWaitTrigger(BaseTrigger):
    """Base of the triggers that query statuses until their condition holds or a deadline has passed.

    Two instances at once are harmless: they share the due orders, and every end is fenced by version.

    :param batch_id: the batch whose orders are queried.
    :param sat_conn_id: the account's connection.
    :param db_conn_id: the application database's connection.
    :param deadline: ISO 8601 with offset; when to stop waiting.
    """

    arguments: ClassVar[tuple[str, ...]] = ("batch_id", "sat_conn_id", "db_conn_id", "deadline")

    def __init__(self, *, batch_id: str, sat_conn_id: str, db_conn_id: str, deadline: str) -> None:
        super().__init__()
        self.batch_id = batch_id
        self.sat_conn_id = sat_conn_id
        self.db_conn_id = db_conn_id
        self.deadline = deadline

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {name: getattr(self, name) for name in self.arguments},
        )

    def left(self, application: ApplicationHook) -> int:
        """How many of the awaited orders are left. Blocks; runs in a thread.

        :raises StoreUnavailableError: when the database is away.
        """
        raise NotImplementedError

    def news(self, application: ApplicationHook) -> str | None:
        """The next line for the task's log, if any is due. Blocks; runs in a thread.

        :raises StoreUnavailableError: when the database is away.
        """
        del application
        return None

    async def run(self) -> AsyncIterator[TriggerEvent]:
        event: TriggerEvent | None = None
        while event is None:
            event = await self._connected()
        yield event

    async def _connected(self) -> TriggerEvent | None:
        """How the wait ended; None when the connection to the application database has changed."""
        application = ApplicationHook(self.db_conn_id, "sat trigger")
        async with application.shared() as database:
            hook = SATHook(self.sat_conn_id, database)
            channel = callback_channel((await hook.asettings()).account)
            provenance = Provenance("service:airflow", f"poll of batch {self.batch_id}")
            async with NotificationListener(database, channel) as listener:
                while True:
                    run = BatchRun(ports_of(hook, application), self.batch_id, RunFacts(provenance))
                    async with hook.async_client() as sat:
                        ended = await self._followed(application, hook, run, sat, listener)
                    if not isinstance(ended, SATHook):
                        return ended
                    hook = ended

    async def _followed(
        self,
        application: ApplicationHook,
        hook: SATHook,
        run: BatchRun,
        sat: SATApi,
        listener: NotificationListener,
    ) -> TriggerEvent | SATHook | None:
        """How the wait ended; or the connection to SAT with which it goes on, when it has changed meanwhile;
        or None, when the connection to the database has."""
        deadline = datetime.fromisoformat(self.deadline)
        reread_at = time.monotonic() + REREAD_SECONDS
        while True:
            try:
                polled, left, pause = await run.wait(sat, partial(self.left, application))
                news = await asyncio.to_thread(self.news, application)
            except StoreUnavailableError as error:
                self.log.warning("The application database is away, waiting for it: %s", error)
                await asyncio.sleep(TROUBLE_PAUSE_SECONDS)
                if await application.has_moved():
                    self.log.info("Connection %s has changed: reconnecting.", self.db_conn_id)
                    return None
                continue
            if polled.unproven:
                self.log.warning("Answers about statuses that prove nothing: %s", dict(polled.unproven))
            if news is not None:
                self.log.info("%s", news)
            if not left:
                return TriggerEvent({"end": ENDED, "in_flight": 0})
            remaining = (deadline - run.ports.clock.now()).total_seconds()
            if remaining <= 0:
                return TriggerEvent({"end": GAVE_UP, "in_flight": left})
            if time.monotonic() >= reread_at:
                changed = await changed_connection(hook, application.database, self.log)
                if changed is not None:
                    return changed
                reread_at = time.monotonic() + REREAD_SECONDS
            # Possibly no query is scheduled: a held order was not sent yet.
            pause = LONGEST_SLEEP_SECONDS if pause is None else max(pause, DEBOUNCE_SECONDS)
            await listener.wait(min(remaining, LONGEST_SLEEP_SECONDS, pause))
