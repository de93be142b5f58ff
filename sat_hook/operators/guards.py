"""The guards of a batch, as an operator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sat_hook.application.batch_run import BatchRun
from sat_hook.operators.batch import SATBatchOperator
from sat_hook.operators.parameters import limits_of


class SATGuardOperator(SATBatchOperator):
    """Hold business duplicates and orders over a limit; admit the rest. Only admitted orders are sent.

    :param rules: the run's own rules by name (templated): ``duplicate_days``, ``order_limit_rupiah``,
        ``batch_limit_rupiah``, ``batch_limit_orders``, ``day_limit_rupiah``, ``day_limit_orders``. The
        account's connection and the account itself may have rules too; the strictest counts.
    """

    template_fields: Sequence[str] = (*SATBatchOperator.template_fields, "rules")

    def __init__(self, *, rules: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rules = dict(rules or {})

    @property
    def run_rules(self) -> dict[str, int | None]:
        return limits_of(self.rules)

    def step(self, run: BatchRun) -> dict[str, int]:
        report = run.guard()
        tally = report.tally
        self.log.info(
            "Let through: %s orders for Rp %s. Held: %s as duplicates, %s over a limit. Looked at now: %s.",
            tally.admitted,
            f"{tally.admitted_rupiah:,}",
            tally.held_as_duplicates,
            tally.held_over_limits,
            report.ruled_on,
        )
        if tally.held_as_duplicates or tally.held_over_limits:
            self.log.warning(
                "Held orders wait for a person: sat order release ID --reason WHY, or sat batch release %s",
                self.batch,
            )
        return {
            "admitted": tally.admitted,
            "held_as_duplicates": tally.held_as_duplicates,
            "held_over_limits": tally.held_over_limits,
        }
