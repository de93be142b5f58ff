"""The wait for one order: deferred to the triggerer, so that no worker slot is held."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseOperatorLink, Context
from airflow.sdk.exceptions import AirflowFailException

from sat_hook.application.order_run import escalate_order, own_order
from sat_hook.application.ports import Ports
from sat_hook.domain.order import Order, OrderState
from sat_hook.hooks.ports import task_ports
from sat_hook.hooks.telemetry import name_in_log
from sat_hook.operators.base import SATOperator
from sat_hook.operators.links import BatchProgressLink
from sat_hook.operators.parameters import order_meant
from sat_hook.operators.run_context import failing_for_good, provenance_of
from sat_hook.pipeline.single_order import conclude, reason_of, standing
from sat_hook.sensors.batch import SETTLING_SECONDS
from sat_hook.triggers.order import GAVE_UP, SATOrderTrigger, is_over


class SATOrderSensor(SATOperator):
    """Wait until an order has ended; escalate it when the deadline passes. Returns its state.

    It also waits for an order that is held or not sent yet, because a person may release it. When the
    deadline passes first, such an order stays as it is.

    :param order_id: the submitter's id (templated); or else
    :param request_id: the id at SAT (templated).
    :param give_up_after_hours: how long to wait at most (templated).
    :param fail_unless_paid: fail the task unless the order was paid. By default no end of an order fails
        the task: check ``state`` of the result.
    """

    template_fields: Sequence[str] = ("order_id", "request_id", "sat_conn_id", "give_up_after_hours")
    operator_extra_links: Collection[BaseOperatorLink] = (BatchProgressLink(),)

    def __init__(
        self,
        *,
        order_id: str | None = None,
        request_id: str | None = None,
        give_up_after_hours: float | str = 24,
        fail_unless_paid: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.order_id = order_id
        self.request_id = request_id
        self.give_up_after_hours = give_up_after_hours
        self.fail_unless_paid = fail_unless_paid
        self.batch_id: str | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Check once, then defer with an absolute deadline."""
        ports, order = self._found()
        if not is_over(order.state):
            self.log.info("Order %r is %s: waiting for its end.", order.order_id, order.state.value)
            self._wait(ports, order, timedelta(hours=float(self.give_up_after_hours)))
        return self._ended(ports, order, context)

    def resume(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """The wait is over."""
        ports, order = self._found()
        if event["end"] == GAVE_UP and order.state.is_in_flight:
            reason = f"no end after {self.give_up_after_hours} hours of waiting"
            order = escalate_order(ports, order, reason, provenance_of(context))
            if order.state.is_in_flight:
                self.log.info("The last attempt may still be under way: waiting on.")
                self._wait(ports, order, timedelta(seconds=SETTLING_SECONDS))
        return self._ended(ports, order, context)

    def _found(self) -> tuple[Ports, Order]:
        with failing_for_good(self.sat_conn_id):
            ports = task_ports(self.sat_conn_id, self.application)
            order = own_order(ports, order_meant(ports.account, self.order_id, self.request_id))
        # For the link to the batch's page.
        self.batch_id = order.batch_id
        name_in_log(batch_id=order.batch_id, request_id=order.request_id)
        return ports, order

    def _ended(self, ports: Ports, order: Order, context: Context) -> dict[str, Any]:
        conclude(ports.handler, order, provenance_of(context))
        reason = reason_of(order)
        why = f": {reason}" if reason else ""
        self.log.info("Order %r (%s) is %s%s", order.order_id, order.request_id, order.state.value, why)
        if self.fail_unless_paid and order.state is not OrderState.SUCCEEDED:
            raise AirflowFailException(f"order {order.order_id!r} is {order.state.value}{why}")
        return standing(order)

    def _wait(self, ports: Ports, order: Order, duration: timedelta) -> None:
        # In the database's time, like the triggerer: the clocks of both machines may differ.
        self.defer(
            trigger=SATOrderTrigger(
                request_id=order.request_id,
                batch_id=order.batch_id,
                sat_conn_id=self.sat_conn_id,
                db_conn_id=self.db_conn_id,
                deadline=(ports.clock.now() + duration).isoformat(),
            ),
            method_name="resume",
        )
