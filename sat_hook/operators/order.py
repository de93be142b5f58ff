"""Pay one order once, for your own DAGs: the order is a batch with one row."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from airflow.sdk import BaseOperatorLink, Context
from airflow.sdk.exceptions import AirflowFailException

from sat_hook.application.order_run import buy
from sat_hook.domain.batch_events import ShortFundsPolicy
from sat_hook.domain.order import Order, OrderState
from sat_hook.domain.order_events import HoldReason
from sat_hook.hooks.ports import task_ports
from sat_hook.hooks.telemetry import name_in_log
from sat_hook.operators.batch import SATBatchOperator
from sat_hook.operators.funds import defer_until_funded, hours_from_now
from sat_hook.operators.links import BatchProgressLink
from sat_hook.operators.parameters import RUN_RULES, limit_of, limits_of, rendered_fields, text_or_none
from sat_hook.operators.run_context import facts_of, failing_for_good
from sat_hook.pipeline.funding import shortage
from sat_hook.pipeline.single_order import SingleOrder, reason_of, standing
from sat_hook.triggers.funds import GAVE_UP


class SATCheckoutOperator(SATBatchOperator):
    """Pay once. Returns the order's state, which is rarely its end: SATOrderSensor waits for the end.

    The order id prevents double payment: the same id again, by a retry, a cleared task, another run or
    another DAG, is the same order and is not paid again. A try that finds the order sent queries its status
    instead. The same id with other contents fails the task. The order's end never fails it.

    Guards, limits, approval, pauses and funds of the account apply as for every batch. A held order waits for
    a person; when released, the next try of this task or ``sat batch run`` sends it.

    :param order_id: your own id, unique for ever within the account (templated).
    :param product_code: as SAT lists it (templated).
    :param client_number: the customer's number (rendered when the task runs, stored only in the order).
    :param max_rupiah: the maximum price; above it the order is not sent (templated).
    :param amount_rupiah: for bills: the bill must be exactly this (templated).
    :param fields: further fields of the product, by name (rendered like the client number).
    :param downline_id: passed on to SAT (templated).
    :param rules: the run's own rules by name, as for SATGuardOperator (templated).
    :param on_short_funds: ``wait`` for a top-up, deferred, or ``refuse``, which ends the order (templated).
    :param wait_for_funds_hours: how long to wait at most (templated); then the task fails and can be cleared.
    """

    template_fields: Sequence[str] = (
        "order_id",
        "product_code",
        "max_rupiah",
        "amount_rupiah",
        "downline_id",
        "rules",
        "on_short_funds",
        "wait_for_funds_hours",
        "sat_conn_id",
    )
    operator_extra_links: Collection[BaseOperatorLink] = (BatchProgressLink(),)
    component = "sat checkout"

    def __init__(
        self,
        *,
        order_id: str,
        product_code: str,
        client_number: str,
        max_rupiah: int | str,
        amount_rupiah: int | str | None = None,
        fields: Mapping[str, str] | None = None,
        downline_id: str | None = None,
        rules: Mapping[str, Any] | None = None,
        on_short_funds: str = ShortFundsPolicy.WAIT.value,
        wait_for_funds_hours: float | str = 24,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.order_id = order_id
        self.product_code = product_code
        self.client_number = client_number
        self.max_rupiah = max_rupiah
        self.amount_rupiah = amount_rupiah
        self.fields = dict(fields or {})
        self.downline_id = downline_id
        self.rules = dict(rules or {})
        self.on_short_funds = on_short_funds
        self.wait_for_funds_hours = wait_for_funds_hours

    def execute(self, context: Context) -> dict[str, Any]:
        """Make one try; every step finds out by itself what is left to do."""
        return self._buy(context)

    def resume(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """The deposit seems to suffice: go on, or wait on until the same deadline."""
        if event["end"] == GAVE_UP:
            raise AirflowFailException(
                f"order {self.order_id!r} waited {self.wait_for_funds_hours} hours for funds. Top up and "
                "clear this task; nothing was sent"
            )
        return self._buy(context, event["deadline"])

    def _buy(self, context: Context, deadline: str | None = None) -> dict[str, Any]:
        wanted, rules = self._wanted(context), limits_of(self.rules, RUN_RULES)
        policy = ShortFundsPolicy(self.on_short_funds)
        with failing_for_good(self.sat_conn_id):
            ports = task_ports(self.sat_conn_id, self.application)
            order, short = self.with_sat(buy(ports, wanted, facts_of(context), rules, policy))
        # For the link to the batch's page.
        self.batch_id = order.batch_id
        name_in_log(batch_id=order.batch_id, request_id=order.request_id)
        if short is not None:
            self.log.warning("Short of funds: %s.", shortage(short))
            until = deadline or hours_from_now(ports.clock, self.wait_for_funds_hours)
            defer_until_funded(self, order.batch_id, until, ports.limits.funding)
        self._tell(order)
        return standing(order)

    def _wanted(self, context: Context) -> SingleOrder:
        order_id = text_or_none(self.order_id)
        if order_id is None:
            # A missing id must fail: orders that all share one empty id would be one order.
            raise AirflowFailException("order_id: found nothing; expected an id of your own, unique for ever")
        maximum = limit_of("max_rupiah", self.max_rupiah)
        if not maximum:
            raise AirflowFailException("max_rupiah: found nothing; expected the most that the order may cost")
        return SingleOrder(
            order_id=order_id,
            product_code=str(self.product_code).strip(),
            client_number=str(self.render_template(self.client_number, context)).strip(),
            max_rupiah=maximum,
            amount_rupiah=limit_of("amount_rupiah", self.amount_rupiah),
            downline_id=text_or_none(self.downline_id),
            fields=rendered_fields(self, self.fields, context),
        )

    def _tell(self, order: Order) -> None:
        reason = reason_of(order)
        why = f": {reason}" if reason else ""
        self.log.info("Order %r (%s) is %s%s", order.order_id, order.request_id, order.state.value, why)
        if order.state is OrderState.HELD:
            needs_approval = order.reason_code == HoldReason.APPROVAL
            then = f"sat batch run {order.batch_id} --account {self.sat_conn_id}, which asks for it"
            self.log.warning(
                "It waits for a person: sat order release %s --reason WHY, then %s",
                order.request_id,
                then if needs_approval else "clear this task",
            )
