"""Operators for funds: an early check of the deposit, and the reservation before orders are sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, NoReturn

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException

from sat_hook.application.batch_run import BatchRun
from sat_hook.domain.batch_events import ShortFundsPolicy
from sat_hook.domain.ports import Clock
from sat_hook.domain.rupiah import rupiah
from sat_hook.operators.batch import SATBatchOperator
from sat_hook.operators.run_context import facts_of, failing_for_good
from sat_hook.pipeline.funding import shortage
from sat_hook.pipeline.limits import FundingLimits
from sat_hook.triggers.funds import GAVE_UP, SATFundsTrigger


class _FundsOperator(SATBatchOperator):
    """Base of the steps that look at the deposit. The parameters are described where they are used."""

    template_fields: Sequence[str] = (
        *SATBatchOperator.template_fields,
        "on_short_funds",
        "saldo_lag_seconds",
    )

    def __init__(
        self,
        *,
        on_short_funds: str = ShortFundsPolicy.WAIT.value,
        saldo_lag_seconds: float | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.on_short_funds = on_short_funds
        self.saldo_lag_seconds = saldo_lag_seconds

    @property
    def policy(self) -> ShortFundsPolicy:
        return ShortFundsPolicy(self.on_short_funds)

    def limits(self, run: BatchRun) -> FundingLimits:
        return limits_of_lag(run.ports.limits.funding, self.saldo_lag_seconds)


class SATCheckBalanceOperator(_FundsOperator):
    """Report early when the deposit cannot cover the batch.

    If the policy is ``refuse``, the batch ends here; otherwise the reservation waits, or covers a part.

    :param on_short_funds: ``wait``, ``partial`` or ``refuse`` (templated).
    :param saldo_lag_seconds: how old a saldo may be when SAT answers it, and clocks may differ (templated);
        by default the deployment's.
    """

    def step(self, run: BatchRun) -> dict[str, int]:
        report = self.with_sat(run.check_balance(self.policy, self.limits(run)))
        if report.is_short:
            self.log.warning("Too little (the policy is to %s): %s.", self.policy.value, report.in_words)
        else:
            self.log.info("Enough for what is known: %s.", report.in_words)
        return {"saldo_rupiah": report.saldo_rupiah, "estimate_rupiah": report.estimate_rupiah}


class SATReserveFundsOperator(_FundsOperator):
    """Reserve funds for the batch's quoted orders; only orders with a reservation are sent.

    When the deposit does not cover all of them, ``wait`` defers until it does, ``partial`` reserves as far as
    it reaches by row number, and ``refuse`` ends the batch. Returns what was reserved and what was left.

    :param on_short_funds: ``wait``, ``partial`` or ``refuse`` (templated).
    :param wait_for_funds_hours: how long to wait at most (templated); then the task fails and, cleared, waits
        again.
    :param saldo_lag_seconds: how old a saldo may be when SAT answers it, and clocks may differ (templated);
        by default the deployment's.
    """

    template_fields: Sequence[str] = (*_FundsOperator.template_fields, "wait_for_funds_hours")
    component = "sat reserve"

    def __init__(self, *, wait_for_funds_hours: float | str = 24, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.wait_for_funds_hours = wait_for_funds_hours

    def step(self, run: BatchRun) -> dict[str, int]:
        return self._reserve(run)

    def resume(self, context: Context, event: dict[str, Any]) -> Any:
        """The deposit seems to suffice: observe it again and reserve, or wait on until the same deadline."""
        if event["end"] == GAVE_UP:
            missing = event["missing_rupiah"]
            amount = "unknown: it could not be looked at" if missing is None else rupiah(missing)
            raise AirflowFailException(
                f"batch {self.batch} waited {self.wait_for_funds_hours} hours for funds; missing: {amount}. "
                "Top up and clear this task; nothing was sent"
            )
        with failing_for_good(self.sat_conn_id):
            return self._reserve(self.run_of(facts_of(context)), event["deadline"])

    def _reserve(self, run: BatchRun, deadline: str | None = None) -> dict[str, int]:
        limits = self.limits(run)
        reservation = self.with_sat(run.reserve(self.policy, limits))
        self.log.info(
            "Reserved Rp %s for %s orders, of Rp %s available.",
            f"{reservation.reserved_rupiah:,}",
            reservation.orders,
            f"{reservation.available_rupiah:,}",
        )
        if reservation.is_short:
            self.log.warning("Short of funds: %s.", shortage(reservation))
            if self.policy is ShortFundsPolicy.WAIT:
                until = deadline or hours_from_now(run.ports.clock, self.wait_for_funds_hours)
                defer_until_funded(self, self.batch, until, limits)
        return {
            "orders": reservation.orders,
            "reserved_rupiah": reservation.reserved_rupiah,
            "left_orders": reservation.left_orders,
            "left_rupiah": reservation.left_rupiah,
        }


def limits_of_lag(deployment: FundingLimits, saldo_lag_seconds: float | str | None) -> FundingLimits:
    """The deployment's limits, with the task's own lag if it has one."""
    if saldo_lag_seconds is None:
        return deployment
    return replace(deployment, saldo_lag_seconds=float(saldo_lag_seconds))


def defer_until_funded(
    task: SATBatchOperator,
    batch_id: str,
    deadline: str,
    limits: FundingLimits,
) -> NoReturn:
    """Defer a task until the deposit covers the batch or the deadline passes; ``resume`` then continues.

    :raises TaskDeferred: always.
    """
    task.defer(
        trigger=SATFundsTrigger(
            sat_conn_id=task.sat_conn_id,
            db_conn_id=task.db_conn_id,
            deadline=deadline,
            saldo_lag_seconds=limits.saldo_lag_seconds,
            batch_id=batch_id,
        ),
        method_name="resume",
    )
    raise AssertionError("a deferral is an exception")


def hours_from_now(clock: Clock, hours: float | str) -> str:
    """The deadline of a wait that begins now."""
    return (clock.now() + timedelta(hours=float(hours))).isoformat()
