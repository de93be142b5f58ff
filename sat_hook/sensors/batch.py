"""The wait for a batch: deferred to the triggerer, so that no worker slot is held."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseOperatorLink, Context

from sat_hook.application.batch_run import BatchRun
from sat_hook.application.ports import Ports
from sat_hook.hooks.ports import task_ports
from sat_hook.hooks.telemetry import name_in_log
from sat_hook.operators.base import SATOperator
from sat_hook.operators.links import BatchProgressLink
from sat_hook.operators.run_context import facts_of, failing_for_good, required_batch
from sat_hook.pipeline.escalations import escalated_orders
from sat_hook.triggers.batch import GAVE_UP, SATBatchTrigger

# The longest that an attempt can still be under way after the deadline is send window, reply and grace.
SETTLING_SECONDS = 60.0


class SATBatchSensor(SATOperator):
    """Wait until no order of the batch is in flight; escalate the rest when the deadline passes.

    It runs even when chunks failed, and no end of an order fails it. While it waits, the task's log and the
    link "Batch progress" show the progress. Returns how many orders were escalated.

    :param batch_id: the batch (templated).
    :param give_up_after_hours: how long to wait at most (templated); then the orders are escalated.
    """

    template_fields: Sequence[str] = ("batch_id", "sat_conn_id", "give_up_after_hours")
    operator_extra_links: Collection[BaseOperatorLink] = (BatchProgressLink(),)

    def __init__(
        self,
        *,
        batch_id: str,
        give_up_after_hours: float | str = 24,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.batch_id = batch_id
        self.give_up_after_hours = give_up_after_hours

    def execute(self, context: Context) -> int:
        """Check once, then defer with an absolute deadline."""
        with failing_for_good(self.sat_conn_id):
            run = self._run(context)
            if in_flight := run.in_flight():
                self.log.info("Waiting for %s orders of batch %s.", in_flight, self.batch_id)
                self._wait(run.ports, timedelta(hours=float(self.give_up_after_hours)))
            return self._told(run)

    def resume(self, context: Context, event: dict[str, Any]) -> int:
        """The wait is over; returns how many orders were escalated."""
        with failing_for_good(self.sat_conn_id):
            run = self._run(context)
            if event["end"] == GAVE_UP:
                left = run.escalate(f"no end after {self.give_up_after_hours} hours of waiting")
                if left:
                    # Their senders may still be working; the batch is complete only after them.
                    self.log.info("The last attempt of %s orders may still be under way: waiting on.", left)
                    self._wait(run.ports, timedelta(seconds=SETTLING_SECONDS))
            return self._told(run)

    def _run(self, context: Context) -> BatchRun:
        ports, batch_id = task_ports(self.sat_conn_id, self.application), required_batch(self.batch_id)
        name_in_log(batch_id=batch_id)
        return BatchRun(ports, batch_id, facts_of(context))

    def _told(self, run: BatchRun) -> int:
        found = escalated_orders(run.ports.store, run.batch_id)
        if not found.orders:
            self.log.info("Every order of batch %s that was sent has ended.", self.batch_id)
            return 0
        self.log.warning("%s orders of batch %s are with people:", f"{found.orders:,}", self.batch_id)
        for line in found.lines():
            self.log.warning("%s", line)
        return found.orders

    def _wait(self, ports: Ports, duration: timedelta) -> None:
        # In the database's time, like the triggerer: the clocks of both machines may differ.
        self.defer(
            trigger=SATBatchTrigger(
                batch_id=self.batch_id,
                sat_conn_id=self.sat_conn_id,
                db_conn_id=self.db_conn_id,
                deadline=(ports.clock.now() + duration).isoformat(),
            ),
            method_name="resume",
        )
