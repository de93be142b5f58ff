"""The wait for a deposit, for your own DAGs. It is deferred and reserves nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException

from sat_hook.domain.rupiah import rupiah
from sat_hook.hooks.ports import task_ports
from sat_hook.operators.base import SATOperator
from sat_hook.operators.funds import limits_of_lag
from sat_hook.operators.run_context import failing_for_good, provenance_of
from sat_hook.pipeline.funding import lacking_rupiah, record_observation
from sat_hook.triggers.funds import GAVE_UP, SATFundsTrigger


class SATFundsSensor(SATOperator):
    """Wait until an amount of an account's deposit is free: the saldo less what our own orders still need.

    It does not reserve the amount: :class:`~sat_hook.operators.funds.SATReserveFundsOperator` does that.

    :param rupiah: the amount that must be free (templated).
    :param give_up_after_hours: how long to wait at most (templated); then the task fails.
    :param saldo_lag_seconds: how old a saldo may be when SAT answers it (templated); by default the
        deployment's.
    """

    template_fields: Sequence[str] = ("rupiah", "sat_conn_id", "give_up_after_hours", "saldo_lag_seconds")

    def __init__(
        self,
        *,
        rupiah: int | str,
        give_up_after_hours: float | str = 24,
        saldo_lag_seconds: float | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.rupiah = rupiah
        self.give_up_after_hours = give_up_after_hours
        self.saldo_lag_seconds = saldo_lag_seconds

    def execute(self, context: Context) -> None:
        """Check once, then defer with an absolute deadline."""
        with failing_for_good(self.sat_conn_id):
            ports = task_ports(self.sat_conn_id, self.application)
            limits = limits_of_lag(ports.limits.funding, self.saldo_lag_seconds)
            seen = asyncio.run(ports.look_at_deposit())
            record_observation(ports.funds, ports.clock, seen, provenance_of(context), limits)
            missing = lacking_rupiah(ports.funds, seen, int(self.rupiah), limits)
        if not missing:
            self.log.info("Rp %s are free.", f"{int(self.rupiah):,}")
            return
        self.log.info("Waiting for Rp %s more.", f"{missing:,}")
        deadline = ports.clock.now() + timedelta(hours=float(self.give_up_after_hours))
        self.defer(
            trigger=SATFundsTrigger(
                sat_conn_id=self.sat_conn_id,
                db_conn_id=self.db_conn_id,
                deadline=deadline.isoformat(),
                saldo_lag_seconds=limits.saldo_lag_seconds,
                wanted_rupiah=int(self.rupiah),
            ),
            method_name="resume",
        )

    def resume(self, context: Context, event: dict[str, Any]) -> None:
        """The wait is over."""
        del context  # not needed
        if event["end"] == GAVE_UP:
            raise AirflowFailException(
                f"waited {self.give_up_after_hours} hours for {rupiah(int(self.rupiah))} to be free"
            )
