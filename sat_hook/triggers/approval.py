"""Wait, inside the triggerer, until an approval is answered outside of Airflow's own question.

A person may answer in Airflow or in the console. Airflow resumes the task by itself when its question is
answered; this trigger resumes it when the log has an answer. It only reads, so two instances are harmless.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from airflow.sdk.execution_time.hitl import get_hitl_detail_content_detail
from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from sat_hook.commands.handler import load_batch
from sat_hook.hooks.application_database import ApplicationHook
from sat_hook.pipeline.approval_request import answers_of
from sat_hook.store.errors import StoreUnavailableError
from sat_hook.store.postgres import PostgresEventStore

PAUSE_SECONDS = 5.0

ANSWERED = {"answered_in": "log"}
"""The event when the log has an answer. An answer in Airflow has its own members."""


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
            while True:
                try:
                    if answers_of(await asyncio.to_thread(load_batch, store, self.batch_id)) != self.answers:
                        return True
                except StoreUnavailableError as error:
                    self.log.warning("The application database is away, waiting for it: %s", error)
                    if await application.has_moved():
                        return False
                await asyncio.sleep(PAUSE_SECONDS)
