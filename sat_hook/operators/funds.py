"""Funds as operators: an early look at the deposit, and the reservation before money may move."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException

from sat_hook.domain.batch_events import ShortFundsPolicy
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.funds import BalanceObservation
from sat_hook.domain.ports import Clock
from sat_hook.hooks.application_database import ApplicationHook
from sat_hook.hooks.sat import SATHook
from sat_hook.operators.batch import SATBatchOperator
from sat_hook.pipeline.balance import check_balance
from sat_hook.pipeline.funding import (
    Reservation,
    observation_of,
    record_observation,
    refuse_batch,
    reserve,
    shortage,
)
from sat_hook.pipeline.limits import FundingLimits
from sat_hook.protocol.calls import account_call
from sat_hook.triggers.funds import GAVE_UP, SATFundsTrigger


class SATCheckBalanceOperator(SATBatchOperator):
    """Say early, and in plain words, when the deposit does not stand a chance.

    Where the policy is to refuse, the batch ends here; else the reservation waits, or pays in part.

    :param on_short_funds: ``wait``, ``partial`` or ``refuse`` (templated).
    :param saldo_lag_seconds: how old a saldo may be when SAT answers it, and clocks may differ (templated).
    """

    template_fields: Sequence[str] = (
        *SATBatchOperator.template_fields,
        "on_short_funds",
        "saldo_lag_seconds",
    )

    def __init__(
        self,
        *,
        on_short_funds: str = ShortFundsPolicy.WAIT.value,
        saldo_lag_seconds: float | str = FundingLimits().saldo_lag_seconds,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.on_short_funds = on_short_funds
        self.saldo_lag_seconds = saldo_lag_seconds

    def step(self, application: ApplicationHook, provenance: Provenance) -> dict[str, int]:
        policy = ShortFundsPolicy(self.on_short_funds)
        clock = application.handler.clock
        seen = look(SATHook(self.sat_conn_id, application.database), clock)
        limits = FundingLimits(saldo_lag_seconds=float(self.saldo_lag_seconds))
        record_observation(application.funds, clock, seen, provenance, limits)
        report = check_balance(
            application.handler, self.batch, seen.saldo_rupiah, provenance, stop_when_short=False
        )
        found = (
            f"the deposit holds Rp {report.saldo_rupiah:,}; {report.priced} orders cost at least "
            f"Rp {report.estimate_rupiah:,}, {report.unpriced} bills are not known yet"
        )
        if report.is_short and policy is ShortFundsPolicy.REFUSE:
            refuse_batch(application.handler, self.batch, found, provenance)
            raise AirflowFailException(f"batch {self.batch} is refused: {found}")
        if report.is_short:
            self.log.warning("Too little (the policy is to %s): %s.", policy.value, found)
        else:
            self.log.info("Enough for what is known: %s.", found)
        return {"saldo_rupiah": report.saldo_rupiah, "estimate_rupiah": report.estimate_rupiah}


class SATReserveFundsOperator(SATBatchOperator):
    """Set funds aside for the batch's quoted orders; only those are sent.

    When the deposit does not reach for all of them: ``wait`` defers until it does, ``partial`` reserves as
    far as it reaches by row number, ``refuse`` ends the batch. Returns what was reserved and what was left.

    :param on_short_funds: ``wait``, ``partial`` or ``refuse`` (templated).
    :param wait_for_funds_hours: how long to wait at most (templated); then the task fails and, cleared, waits
        again.
    :param saldo_lag_seconds: how old a saldo may be when SAT answers it, and clocks may differ (templated).
    """

    template_fields: Sequence[str] = (
        *SATBatchOperator.template_fields,
        "on_short_funds",
        "wait_for_funds_hours",
        "saldo_lag_seconds",
    )
    component = "sat reserve"

    def __init__(
        self,
        *,
        on_short_funds: str = ShortFundsPolicy.WAIT.value,
        wait_for_funds_hours: float | str = 24,
        saldo_lag_seconds: float | str = FundingLimits().saldo_lag_seconds,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.on_short_funds = on_short_funds
        self.wait_for_funds_hours = wait_for_funds_hours
        self.saldo_lag_seconds = saldo_lag_seconds
        self._deadline: str | None = None

    def step(self, application: ApplicationHook, provenance: Provenance) -> dict[str, int]:
        policy = ShortFundsPolicy(self.on_short_funds)
        clock = application.handler.clock
        hook = SATHook(self.sat_conn_id, application.database)
        reservation = reserve(
            application.funds, clock, self.batch, look(hook, clock), policy, provenance, self._limits
        )
        self._tell(reservation)
        if reservation.is_short and policy is ShortFundsPolicy.REFUSE:
            text = shortage(reservation)
            refuse_batch(application.handler, self.batch, text, provenance)
            raise AirflowFailException(f"batch {self.batch} is refused: {text}")
        if reservation.is_short and policy is ShortFundsPolicy.WAIT:
            self._wait(clock.now())
        return {
            "orders": reservation.orders,
            "reserved_rupiah": reservation.reserved_rupiah,
            "left_orders": reservation.left_orders,
            "left_rupiah": reservation.left_rupiah,
        }

    def resume(self, context: Context, event: dict[str, Any]) -> Any:
        """The deposit seems to reach: look again and reserve, or go on waiting until the same deadline."""
        if event["end"] == GAVE_UP:
            missing = event["missing_rupiah"]
            amount = "unknown: it could not be looked at" if missing is None else f"Rp {missing:,}"
            raise AirflowFailException(
                f"batch {self.batch} waited {self.wait_for_funds_hours} hours for funds; missing: {amount}. "
                "Top up and clear this task; nothing was sent"
            )
        self._deadline = event["deadline"]
        return self.execute(context)

    @property
    def _limits(self) -> FundingLimits:
        return FundingLimits(saldo_lag_seconds=float(self.saldo_lag_seconds))

    def _tell(self, reservation: Reservation) -> None:
        self.log.info(
            "Reserved Rp %s for %s orders, of Rp %s available.",
            f"{reservation.reserved_rupiah:,}",
            reservation.orders,
            f"{reservation.available_rupiah:,}",
        )
        if reservation.is_short:
            self.log.warning("Short of funds: %s.", shortage(reservation))

    def _wait(self, now: datetime) -> None:
        deadline = self._deadline or (now + timedelta(hours=float(self.wait_for_funds_hours))).isoformat()
        self.defer(
            trigger=SATFundsTrigger(
                sat_conn_id=self.sat_conn_id,
                db_conn_id=self.db_conn_id,
                deadline=deadline,
                saldo_lag_seconds=self._limits.saldo_lag_seconds,
                batch_id=self.batch,
            ),
            method_name="resume",
        )


def look(hook: SATHook, clock: Clock) -> BalanceObservation:
    """What the deposit of a connection's account holds, with the digest of the answer; raises SATError."""
    return observation_of(hook.settings().account, hook.ask(account_call()), clock.now())
