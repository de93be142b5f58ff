"""Wait, inside the triggerer, until an approval is answered outside of Airflow's own question.

A person may answer in Airflow or in the console. Airflow resumes the task by itself when its question is
answered; this trigger resumes it when the log has an answer. All waits of an event loop read their batches
together, so that many of them cost as few statements as one. They only read, so two instances are harmless.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from airflow.sdk.execution_time.hitl import get_hitl_detail_content_detail
from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from sat_hook.commands.errors import BatchNotFoundError
from sat_hook.hooks.application_database import ApplicationHook
from sat_hook.pipeline.approval_request import answers_of
from sat_hook.store.errors import StoreUnavailableError
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.triggers.of_event_loop import OfEventLoop

PAUSE_SECONDS = 5.0
SHARED_SECONDS = 1.0
"""What was read counts for all waits for this long."""

ANSWERED = {"answered_in": "log"}
"""The event when the log has an answer. An answer in Airflow has its own members."""


class _SharedAnswers:
    """The answers about all batches that wait in an event loop."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._waits: Counter[str] = Counter()
        self._answers: dict[str, str] = {}
        self._read_at = 0.0

    @contextmanager
    def waiting(self, batch_id: str) -> Iterator[None]:
        """Read this batch with the others."""
        self._waits[batch_id] += 1
        try:
            yield
        finally:
            self._waits[batch_id] -= 1
            if not self._waits[batch_id]:
                del self._waits[batch_id]
                # What a later wait is asked about may be newer.
                self._answers.pop(batch_id, None)

    async def about(self, batch_id: str, store: PostgresEventStore) -> str:
        """:func:`~sat_hook.pipeline.approval_request.answers_of` a batch that waits, at most a second old.

        :raises BatchNotFoundError: there is no such batch.
        :raises StoreUnavailableError: the database is away.
        """
        async with self._lock:
            is_old = time.monotonic() - self._read_at > SHARED_SECONDS
            if is_old or batch_id not in self._answers:
                read_at = time.monotonic()
                found = await asyncio.to_thread(store.load_batches, sorted(self._waits))
                self._answers = {batch.batch_id: answers_of(batch) for batch in found}
                self._read_at = read_at
            if batch_id not in self._answers:
                raise BatchNotFoundError(f"there is no batch {batch_id}")
            return self._answers[batch_id]


#: By connection of the application database.
_shared: OfEventLoop[str, _SharedAnswers] = OfEventLoop(lambda _: _SharedAnswers())


class SATApprovalTrigger(BaseTrigger):
    """Fires when the batch's approval was signed, given, rejected or withdrawn.

    :param batch_id: the batch.
    :param db_conn_id: the application database's connection.
    :param answers: :func:`~sat_hook.pipeline.approval_request.answers_of` the batch when it was asked.
    :param ti_id: the task instance that asked in Airflow.
    """

    def __init__(self, *, batch_id: str, db_conn_id: str, answers: str, ti_id: str) -> None:
        super().__init__()
        self.batch_id = batch_id
        self.db_conn_id = db_conn_id
        self.answers = answers
        self.ti_id = ti_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "batch_id": self.batch_id,
                "db_conn_id": self.db_conn_id,
                "answers": self.answers,
                "ti_id": self.ti_id,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        # Airflow resumes a task that is deferred. An answer from just before that is found here.
        if (answer := await self._answer_in_airflow()) is not None:
            yield TriggerEvent(answer)
            return
        while not await self._is_answered():
            self.log.info("Connection %s has changed: connecting again.", self.db_conn_id)
        yield TriggerEvent(ANSWERED)

    async def _answer_in_airflow(self) -> dict[str, Any] | None:
        found = await sync_to_async(get_hitl_detail_content_detail)(ti_id=UUID(self.ti_id))
        if not (found.response_received and found.chosen_options):
            return None
        user = found.responded_by_user
        return {
            "chosen_options": list(found.chosen_options),
            "responded_at": found.responded_at,
            "responded_by_user": None if user is None else {"id": user.id, "name": user.name},
        }

    async def _is_answered(self) -> bool:
        """Wait for an answer; False when the connection to the application database has changed meanwhile."""
        application = ApplicationHook(self.db_conn_id, "sat trigger")
        async with application.shared() as database:
            store = PostgresEventStore(database)
            answers = _shared.of(self.db_conn_id)
            with answers.waiting(self.batch_id):
                while True:
                    try:
                        if await answers.about(self.batch_id, store) != self.answers:
                            return True
                    except StoreUnavailableError as error:
                        self.log.warning("The application database is away, waiting for it: %s", error)
                        if await application.has_moved():
                            return False
                    await asyncio.sleep(PAUSE_SECONDS)
