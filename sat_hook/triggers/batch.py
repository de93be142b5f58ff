"""Wait for the ends of a batch's orders, inside the triggerer, and log the progress meanwhile."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from airflow.triggers.base import TaskSuccessEvent, TriggerEvent

from sat_hook.pipeline.escalations import escalated_orders
from sat_hook.pipeline.progress import in_words, progress_of
from sat_hook.store.errors import StoreUnavailableError
from sat_hook.triggers.order_wait import ENDED, GAVE_UP, SATOrderWaitTrigger
from sat_hook.triggers.order_watch import LONGEST_SLEEP_SECONDS, Wait

__all__ = ["ENDED", "GAVE_UP", "Reporting", "SATBatchTrigger"]

FIRST_PAUSE_SECONDS = 10.0
PAUSE_GROWTH = 1.5
LONGEST_PAUSE_SECONDS = 300.0
STILL_SECONDS = 1800.0


@dataclass(slots=True)
class Reporting:
    """The schedule of progress lines: frequent at first, then less and less often.

    A wait of a day logs about a hundred lines: in the end at most one per ``LONGEST_PAUSE_SECONDS``, and one
    per ``STILL_SECONDS`` while nothing changes.
    """

    pause_seconds: float = FIRST_PAUSE_SECONDS
    said_at: float | None = None
    said: object = None

    def seconds_to_look(self, now_seconds: float) -> float:
        """Seconds until a line may be due, so that the progress should be read."""
        return 0.0 if self.said_at is None else self.said_at + self.pause_seconds - now_seconds

    def is_news(self, standing: object, now_seconds: float) -> bool:
        """Whether to log ``standing`` now. If so, the next line is scheduled."""
        if self.said_at is not None:
            if standing == self.said and now_seconds - self.said_at < STILL_SECONDS:
                return False
            self.pause_seconds = min(LONGEST_PAUSE_SECONDS, self.pause_seconds * PAUSE_GROWTH)
        self.said_at, self.said = now_seconds, standing
        return True


class SATBatchTrigger(SATOrderWaitTrigger):
    """Fires when no order of the batch is in flight, or when the deadline has passed.

    Its lines appear in the log of the waiting task. If no order is with people, it ends the task itself, as
    successful; otherwise the task resumes and names them.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._reporting = Reporting()

    async def event_of_end(self, wait: Wait) -> TriggerEvent:
        store = wait.watch.application.handler.store
        with suppress(StoreUnavailableError):
            if not (await asyncio.to_thread(escalated_orders, store, self.batch_id)).orders:
                self.log.info("Every order of batch %s that was sent has ended.", self.batch_id)
                return TaskSuccessEvent(xcoms={"return_value": 0})
        return await super().event_of_end(wait)

    def seconds_to_news(self) -> float:
        return max(LONGEST_SLEEP_SECONDS, self._reporting.seconds_to_look(time.monotonic()))

    def news(self, wait: Wait) -> str | None:
        now_seconds = time.monotonic()
        if self._reporting.seconds_to_look(now_seconds) > 0:
            return None
        if not self._reporting.is_news(wait.left, now_seconds):
            return None
        application = wait.watch.application
        handler = application.handler
        progress = progress_of(handler.store, application.batch_lists, handler.clock, self.batch_id)
        return f"Batch {self.batch_id}: {in_words(progress)}"
