"""One round of recovery for one account, as an operator."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

from airflow.sdk import Context

from sat_hook.application.decision_worker import decide_next_part
from sat_hook.application.recovery import recover_orders
from sat_hook.hooks.ports import task_ports
from sat_hook.operators.base import SATOperator
from sat_hook.operators.run_context import facts_of, failing_for_good
from sat_hook.store.callbacks import CallbackReader
from sat_hook.store.order_drafts import OrderDrafts


class SATRecoverOrdersOperator(SATOperator):
    """Recover every order of an account that is in flight, from every batch.

    It queries statuses, resends orders that SAT provably does not know (same id, same body), and escalates
    orders that will not end by themselves. It can run beside any batch, and twice at once.

    :param dedup_horizon_hours: how long after its first sending an order may be sent again (templated); none
        uses the account's rules. It can only be shorter than those.
    :param give_up_after_hours: the age at which an order without an end is escalated (templated).
    """

    template_fields: Sequence[str] = ("sat_conn_id", "dedup_horizon_hours", "give_up_after_hours")
    ui_color = "#f3ead9"
    component = "sat recovery"

    def __init__(
        self,
        *,
        dedup_horizon_hours: float | str | None = None,
        give_up_after_hours: float | str = 24,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dedup_horizon_hours = dedup_horizon_hours
        self.give_up_after_hours = give_up_after_hours

    def execute(self, context: Context) -> dict[str, int]:
        """Run one round; return its counts."""
        text = str(self.dedup_horizon_hours).strip()
        application = self.application
        with failing_for_good(self.sat_conn_id):
            ports = task_ports(self.sat_conn_id, application)
            report = asyncio.run(
                recover_orders(
                    ports,
                    facts_of(context),
                    application.intake,
                    CallbackReader(application.database),
                    OrderDrafts(application.database),
                    partial(decide_next_part, application.store, ports.limits.recovery),
                    horizon_seconds=None if text in ("", "None") else float(text) * 3600,
                    give_up_after_seconds=float(self.give_up_after_hours) * 3600,
                )
            )
        self.log.info(
            "Asked about %s orders: %s ended, %s sent again, %s handed to people, %s still in flight.",
            report.asked,
            report.ended,
            report.sent_again,
            report.escalated,
            report.waiting,
        )
        if report.paused is not None:
            self.log.warning("The account is paused (%s): nothing was sent again.", report.paused)
        return {
            "asked": report.asked,
            "ended": report.ended,
            "sent_again": report.sent_again,
            "escalated": report.escalated,
            "waiting": report.waiting,
        }
