"""Rechecks of ended orders, as operators."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from airflow.sdk import Context

from sat_hook.application.ports import Ports
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.rechecks import RecheckFinding
from sat_hook.hooks.application_database import ApplicationHook
from sat_hook.hooks.ports import task_ports
from sat_hook.operators.base import SATOperator
from sat_hook.operators.run_context import provenance_of
from sat_hook.pipeline.limits import RecheckLimits
from sat_hook.pipeline.rechecks import Rechecker, RecheckReport, missed_alerts
from sat_hook.store.rechecks import RecheckCount, RecheckSchedule

REPORTED_DAYS = 30


class SATRecheckOrdersOperator(SATOperator):
    """Recheck an account's orders that succeeded or failed days ago. It only queries and never sends.

    A reversal, a late success or a contradiction is recorded as a new event of the order. It can run beside
    any other task, and twice at once.

    :param days: how many business days (WIB) after its end an order is rechecked (templated, a list or its
        text).
    :param hour: the hour (WIB) of that day from which the recheck is due (templated).
    :param orders: maximum rechecks of one run (templated).

    Parameters that are not given use the deployment's settings.
    """

    template_fields: Sequence[str] = ("sat_conn_id", "days", "hour", "orders")
    ui_color = "#f3ead9"
    component = "sat watch"

    def __init__(
        self,
        *,
        days: Sequence[int] | str | None = None,
        hour: int | str | None = None,
        orders: int | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.days = days
        self.hour = hour
        self.orders = orders

    def execute(self, context: Context) -> dict[str, int]:
        """Run once; return the counts."""
        application = self.application
        ports = task_ports(self.sat_conn_id, application)
        deployment = application.settings.final_watch
        report = asyncio.run(self._look(ports, application.rechecks, deployment, provenance_of(context)))
        found = {finding.value: report.found[finding] for finding in RecheckFinding}
        self.log.info("Looked at %s orders: %s.", report.asked, found)
        if report.unproven:
            self.log.warning("Answers that prove nothing, asked for again later: %s", dict(report.unproven))
        if report.found[RecheckFinding.CHANGED]:
            self.log.warning("%s orders are not what they were.", report.found[RecheckFinding.CHANGED])
        missed = self._report_marks(application)
        return {"asked": report.asked, **found, "unproven": report.unproven.total(), "missed": missed}

    async def _look(
        self, ports: Ports, schedule: RecheckSchedule, deployment: RecheckLimits, provenance: Provenance
    ) -> RecheckReport:
        limits = self._limits(deployment, ports.settings.max_in_flight)
        async with ports.sat() as sat:
            return await Rechecker(ports.handler, schedule, sat, provenance, limits).run(ports.account)

    def _limits(self, deployment: RecheckLimits, max_in_flight: int) -> RecheckLimits:
        days = self.days.strip("[] ").split(",") if isinstance(self.days, str) else self.days
        return replace(
            deployment,
            days=deployment.days if days is None else tuple(sorted({int(day) for day in days})),
            hour=deployment.hour if self.hour is None else int(self.hour),
            orders=deployment.orders if self.orders is None else int(self.orders),
            in_flight=min(max_in_flight, deployment.in_flight),
        )

    def _report_marks(self, application: ApplicationHook) -> int:
        """Report the rechecks of the last days of all accounts, including accounts that no run works
        for."""
        now = application.handler.clock.now()
        counts = application.rechecks.counts(now, now - timedelta(days=REPORTED_DAYS))
        for count in counts:
            if count.missed:
                self.log.warning(_line(count))
            elif count.waiting or count.late:
                self.log.info(_line(count))
        application.alerts.add(missed_alerts(counts, now))
        return sum(count.missed for count in counts)


def _line(count: RecheckCount) -> str:
    return (
        f"Account {count.account}, {count.due_on} (D+{count.days}): {count.in_time} in time, "
        f"{count.late} late, {count.waiting} to do, {count.missed} missed."
    )
