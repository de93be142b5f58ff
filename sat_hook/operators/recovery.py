"""The janitor's round over one account, as an operator."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseOperator, Context

from sat_hook.clients.asynchronous import AsyncSATClient
from sat_hook.domain.recorded import Provenance
from sat_hook.hooks.application import DEFAULT_CONNECTION, ApplicationHook
from sat_hook.hooks.sat import SATHook
from sat_hook.operators.losses import pause_a_restored_account
from sat_hook.operators.runs import provenance_of
from sat_hook.pipeline.alerting import raise_alerts
from sat_hook.pipeline.funding import observation_of, record_observation
from sat_hook.pipeline.limits import ExecutionLimits, RecoveryLimits
from sat_hook.pipeline.recovery import Recovery, RecoveryReport
from sat_hook.pipeline.table_intake import free_lost_rows
from sat_hook.protocol.calls import account_call
from sat_hook.protocol.errors import SATError


class SATRecoverOrdersOperator(BaseOperator):
    """Look after every order of an account that is in flight, whichever batch it came from.

    Asks for statuses, sends again what SAT provably does not know (same id, same body), and hands over to
    people what will not end by itself. It can run beside any batch, and twice at once.

    :param sat_conn_id: the account's connection (templated).
    :param db_conn_id: the application database's connection.
    :param dedup_horizon_hours: how long after its first sending an order may be sent again (templated).
    :param give_up_after_hours: when an order without an end is handed to people (templated).
    """

    template_fields: Sequence[str] = ("sat_conn_id", "dedup_horizon_hours", "give_up_after_hours")
    ui_color = "#f3ead9"

    def __init__(
        self,
        *,
        sat_conn_id: str = SATHook.default_conn_name,
        db_conn_id: str = DEFAULT_CONNECTION,
        dedup_horizon_hours: float | str = 6,
        give_up_after_hours: float | str = 24,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sat_conn_id = sat_conn_id
        self.db_conn_id = db_conn_id
        self.dedup_horizon_hours = dedup_horizon_hours
        self.give_up_after_hours = give_up_after_hours

    def execute(self, context: Context) -> dict[str, int]:
        """One round; returns its counts."""
        report = asyncio.run(self._recover(context))
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

    async def _look_at_deposit(
        self, application: ApplicationHook, sat: AsyncSATClient, provenance: Provenance
    ) -> None:
        """Keep what the deposit holds; trouble with it keeps no order from being looked after."""
        clock = application.resolver.clock
        try:
            seen = observation_of(sat.settings.account, await sat.ask(account_call()), clock.now())
        except SATError as error:
            self.log.warning("The deposit could not be looked at: %s", error)
            return
        await asyncio.to_thread(record_observation, application.funds, clock, seen, provenance)

    def _free_lost_rows(self, application: ApplicationHook, account: str) -> None:
        """Rows of ``order_intake`` whose run came to nothing wait for the next one, and people are told."""
        if freed := free_lost_rows(application.store, application.intake, account):
            raise_alerts(application.alerts, freed)
            self.log.warning("Freed rows of order_intake of %s runs that came to nothing.", len(freed))

    async def _recover(self, context: Context) -> RecoveryReport:
        application = ApplicationHook(self.db_conn_id, "sat recovery")
        await application.aconnect()
        hook = SATHook(self.sat_conn_id, application.database)
        settings = await hook.asettings()
        limits = RecoveryLimits(
            dedup_horizon_seconds=float(self.dedup_horizon_hours) * 3600,
            give_up_after_seconds=float(self.give_up_after_hours) * 3600,
        )
        provenance = provenance_of(context)
        await asyncio.to_thread(pause_a_restored_account, application, settings.account, provenance)
        await asyncio.to_thread(self._free_lost_rows, application, settings.account)
        async with hook.async_client() as sat:
            await self._look_at_deposit(application, sat, provenance)
            recovery = Recovery(
                application.resolver,
                application.schedule,
                sat,
                random.SystemRandom(),
                provenance,
                limits=limits,
                sending=ExecutionLimits(
                    in_flight=settings.max_in_flight, reply_timeout_seconds=settings.total_timeout_seconds
                ),
                trusted=application.trusted_callbacks(settings),
            )
            return await recovery.run(settings.account)
