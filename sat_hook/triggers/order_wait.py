"""Wait for the ends of orders, inside the triggerer: the common part of waiting for a batch or an order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, ClassVar

from airflow.triggers.base import BaseTrigger, TriggerEvent

from sat_hook.store.errors import StoreUnavailableError
from sat_hook.triggers.order_watch import Wait, waiting

ENDED = "ended"
GAVE_UP = "gave_up"


class SATOrderWaitTrigger(BaseTrigger):
    """Base of the triggers that wait until orders have ended or a deadline has passed.

    All waits for an account in a triggerer share one watch (:mod:`sat_hook.triggers.order_watch`), which
    queries the statuses. Two instances at once are harmless: they share the due orders, and every end is
    fenced by version.

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
        self.request_id: str | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {name: getattr(self, name) for name in self.arguments},
        )

    def news(self, wait: Wait) -> str | None:
        """The next line for the task's log, if any is due. Blocks; runs in a thread.

        :raises StoreUnavailableError: when the database is away.
        """
        raise NotImplementedError

    async def event_of_end(self, wait: Wait) -> TriggerEvent:
        """The event that tells that every awaited order has ended."""
        del wait
        return TriggerEvent({"end": ENDED, "in_flight": 0})

    def seconds_to_news(self) -> float | None:
        """When to ask for :meth:`news`, if nothing changes before; None: not at all."""
        return None

    async def run(self) -> AsyncIterator[TriggerEvent]:
        async with waiting(self.sat_conn_id, self.db_conn_id, self.batch_id, self.request_id) as wait:
            event = await self._ended(wait)
        yield event

    async def _ended(self, wait: Wait) -> TriggerEvent:
        deadline = datetime.fromisoformat(self.deadline)
        remark = ""
        seconds: float | None = None
        while True:
            left = await wait.look(seconds)
            if wait.watch.remark != remark:
                remark = wait.watch.remark
                if remark:
                    self.log.warning("%s", remark)
            if left is None:
                continue
            await self._log_news(wait)
            if not left:
                return await self.event_of_end(wait)
            seconds = (deadline - wait.watch.now()).total_seconds()
            if seconds <= 0:
                return TriggerEvent({"end": GAVE_UP, "in_flight": left})
            if (next_news := self.seconds_to_news()) is not None:
                seconds = min(seconds, max(0.0, next_news))

    async def _log_news(self, wait: Wait) -> None:
        try:
            news = await asyncio.to_thread(self.news, wait)
        except StoreUnavailableError:
            return  # the watch says so
        if news is not None:
            self.log.info("%s", news)
