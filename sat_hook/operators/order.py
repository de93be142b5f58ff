"""Buying one thing once, for DAGs of one's own: the checkout goes the way of a batch with one row."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseOperatorLink, Context
from airflow.sdk.exceptions import AirflowFailException

from sat_hook.domain.batch_events import ShortFundsPolicy
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.guards import AccountRules
from sat_hook.domain.order import Order, OrderState
from sat_hook.domain.order_events import HoldReason
from sat_hook.hooks.application_database import ApplicationHook
from sat_hook.hooks.sat import SATHook
from sat_hook.hooks.spool import submissions_spool
from sat_hook.operators.batch import SATBatchOperator
from sat_hook.operators.funds import look
from sat_hook.operators.links import BatchProgressLink
from sat_hook.operators.rollback_check import pause_if_rolled_back
from sat_hook.operators.rules import approval_policy, asked_run, gate_of, guard_rules_of, limit_of, start_run
from sat_hook.operators.run_context import account_that_can_pay, triggering_user
from sat_hook.operators.template_values import rendered_fields, text_or_none
from sat_hook.pipeline.account_rules import AskedRun
from sat_hook.pipeline.command_handler import load_batch
from sat_hook.pipeline.errors import SubmissionRefusedError
from sat_hook.pipeline.execution import ChunkExecutor, Gate
from sat_hook.pipeline.funding import refuse_batch, reserve, shortage
from sat_hook.pipeline.guards import guard_batch
from sat_hook.pipeline.limits import ExecutionLimits, FundingLimits
from sat_hook.pipeline.quoting import Quoter, close_quoting
from sat_hook.pipeline.results import complete
from sat_hook.pipeline.single_order import (
    SingleOrder,
    ask_now,
    load_order,
    reason_of,
    standing,
    submit_single,
    take_single,
)
from sat_hook.pipeline.validation import catalogue_of, validate_orders
from sat_hook.protocol.errors import ProductNotFoundError
from sat_hook.protocol.messages import Product
from sat_hook.store.event_store import OrderSlice
from sat_hook.triggers.funds import GAVE_UP, SATFundsTrigger

TO_BE_SENT = (OrderState.RECEIVED, OrderState.QUOTED)


class SATCheckoutOperator(SATBatchOperator):
    """Buy once. Returns how the order stands then, which is rarely its end: SATOrderSensor waits for that.

    The order id is the promise: the same id again, by a retry, a cleared task, another run or another DAG,
    is the same order, and is not paid again. A try that finds the order sent asks SAT for its status instead.
    The same id with anything else in it fails the task. How the order ends never fails it.

    Guards, limits, approval, pauses and funds of the account count as for every batch. An order that is held
    waits for a person; released, it goes out with the next try of this task, or by ``sat batch run``.

    :param order_id: your own id, unique for ever within the account (templated).
    :param product_code: as SAT lists it (templated).
    :param client_number: whom it is for (rendered when the task runs, kept nowhere but in the order).
    :param max_rupiah: the most that it may cost; above it nothing is sent (templated).
    :param amount_rupiah: for bills: the bill must be exactly this (templated).
    :param fields: what the product wants besides, by name (rendered like the client number).
    :param downline_id: passed on to SAT (templated).
    :param rules: the run's own rules by name, as SATGuardOperator has them (templated).
    :param on_short_funds: ``wait`` for a top-up, deferred, or ``refuse``, which ends the order (templated).
    :param wait_for_funds_hours: how long to wait at most (templated); then the task fails and can be cleared.
    :param sat_conn_id: the account's connection (templated).
    :param db_conn_id: the application database's connection.
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
        self._wanted: SingleOrder | None = None
        self._maker: str | None = None
        self._deadline: str | None = None
        self._run: AskedRun | None = None

    def execute(self, context: Context) -> Any:
        """One try; every step of it finds out by itself what is left to do."""
        order_id = text_or_none(self.order_id)
        if order_id is None:
            # One id for every order whose id was not there would be one order for all of them.
            raise AirflowFailException("order_id: found nothing; expected an id of your own, unique for ever")
        maximum = limit_of("max_rupiah", self.max_rupiah)
        if not maximum:
            raise AirflowFailException("max_rupiah: found nothing; expected the most that the order may cost")
        self._wanted = SingleOrder(
            order_id=order_id,
            product_code=str(self.product_code).strip(),
            client_number=str(self.render_template(self.client_number, context)).strip(),
            max_rupiah=maximum,
            amount_rupiah=limit_of("amount_rupiah", self.amount_rupiah),
            downline_id=text_or_none(self.downline_id),
            fields=rendered_fields(self, self.fields, context),
        )
        self._maker = triggering_user(context)
        self._run = asked_run(self.sat_conn_id, self.rules, context)
        return super().execute(context)

    def step(self, application: ApplicationHook, provenance: Provenance) -> dict[str, Any]:
        own_batch, order = self._taken(application, provenance)
        self.batch_id = order.batch_id
        if order.state.is_in_flight or order.state is OrderState.ESCALATED:
            self.log.info("The order was sent before: asking for its status, not sending it again.")
            order = self._asked(application, order, provenance)
        elif order.batch_id != own_batch:
            self.log.info("The very same order belongs to batch %s, which sends it.", order.batch_id)
        elif order.state in TO_BE_SENT:
            self._send(application, order, provenance)
            order = load_order(application.store, order.request_id)
        self._tell(order)
        complete(application.handler, own_batch, provenance)
        return standing(order)

    def resume(self, context: Context, event: dict[str, Any]) -> Any:
        """The deposit seems to reach: go on, or wait on until the same deadline."""
        if event["end"] == GAVE_UP:
            raise AirflowFailException(
                f"order {self.order_id!r} waited {self.wait_for_funds_hours} hours for funds. Top up and "
                "clear this task; nothing was sent"
            )
        self._deadline = event["deadline"]
        return self.execute(context)

    def _taken(self, application: ApplicationHook, provenance: Provenance) -> tuple[str, Order]:
        """The batch of this very order, and the order; both begin here unless they were begun before."""
        assert self._wanted is not None
        # Who started the run is the maker, as Airflow authenticated them.
        maker = Provenance(f"user:{self._maker}", provenance.cause) if self._maker else provenance
        spool = submissions_spool()
        try:
            submission = submit_single(
                application.store,
                spool,
                application.handler.clock,
                account_that_can_pay(self.sat_conn_id),
                self._wanted,
                maker,
            )
        except SubmissionRefusedError as error:
            raise AirflowFailException(str(error)) from error
        batch_id = submission.batch_id
        return batch_id, take_single(application.handler, spool, batch_id, self._wanted, provenance)

    def _asked(self, application: ApplicationHook, order: Order, provenance: Provenance) -> Order:
        async def ask() -> Order | None:
            async with SATHook(self.sat_conn_id, application.database).async_client() as sat:
                return (await ask_now(application.handler, sat, order.request_id, provenance))[1]

        return self.with_sat(ask()) or order

    def _send(self, application: ApplicationHook, order: Order, provenance: Provenance) -> None:
        """The steps of the batch, from validation to execution; each passes over what is done."""
        handler, batch_id = application.handler, order.batch_id
        assert self._run is not None
        by = Provenance(f"user:{self._maker}", provenance.cause) if self._maker else provenance
        start_run(application, batch_id, self._run, by)
        hook = SATHook(self.sat_conn_id, application.database)
        products = _listed(hook, order.product_code)
        validate_orders(handler, batch_id, catalogue_of(products), provenance)
        self.with_sat(self._quote(application, products, order, provenance))
        close_quoting(handler, batch_id, provenance)
        rules = hook.rules().stricter(AccountRules(guard_rules_of(self.rules)))
        guard_batch(handler, application.guards, batch_id, rules.guards, provenance)
        if load_order(application.store, order.request_id).state is not OrderState.QUOTED:
            return
        if not self._reserve(application, hook, batch_id, provenance):
            return
        policy = approval_policy(self.sat_conn_id, None)
        gate = gate_of(application, load_batch(application.store, batch_id), policy, rules)
        pause_if_rolled_back(application, order.account, provenance)
        self.with_sat(self._execute(application, products, order, gate, provenance))

    async def _quote(
        self, application: ApplicationHook, products: list[Product], order: Order, provenance: Provenance
    ) -> None:
        async with SATHook(self.sat_conn_id, application.database).async_client() as sat:
            await Quoter(application.handler, sat, catalogue_of(products)).quote_slice(
                _row_of(order), provenance
            )

    def _reserve(
        self, application: ApplicationHook, hook: SATHook, batch_id: str, provenance: Provenance
    ) -> bool:
        """Whether funds stand behind the order; without them it waits, or ends."""
        clock = application.handler.clock
        policy = ShortFundsPolicy(self.on_short_funds)
        found = reserve(application.funds, clock, batch_id, look(hook, clock), policy, provenance)
        if not found.is_short:
            return True
        text = shortage(found)
        if policy is not ShortFundsPolicy.WAIT:
            refuse_batch(application.handler, batch_id, text, provenance)
            return False
        self.log.warning("Short of funds: %s.", text)
        hours = timedelta(hours=float(self.wait_for_funds_hours))
        self.defer(
            trigger=SATFundsTrigger(
                sat_conn_id=self.sat_conn_id,
                db_conn_id=self.db_conn_id,
                deadline=self._deadline or (clock.now() + hours).isoformat(),
                saldo_lag_seconds=FundingLimits().saldo_lag_seconds,
                batch_id=batch_id,
            ),
            method_name="resume",
        )
        return False  # never reached: a deferral is an exception

    async def _execute(
        self,
        application: ApplicationHook,
        products: list[Product],
        order: Order,
        gate: Gate,
        provenance: Provenance,
    ) -> None:
        async with SATHook(self.sat_conn_id, application.database).async_client() as sat:
            limits = ExecutionLimits(in_flight=1, reply_timeout_seconds=sat.settings.total_timeout_seconds)
            catalogue = catalogue_of(products)
            executor = ChunkExecutor(application.handler, sat, catalogue, provenance, limits, gate)
            await executor.run(_row_of(order))

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


def _listed(hook: SATHook, product_code: str) -> list[Product]:
    """The product as SAT lists it; nothing when SAT does not know it, which validation then says."""
    try:
        return hook.list_product([product_code])
    except ProductNotFoundError:
        return []


def _row_of(order: Order) -> OrderSlice:
    return OrderSlice(order.batch_id, first_row=order.row_number, last_row=order.row_number)
