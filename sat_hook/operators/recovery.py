"""The janitor's round over one account, as an operator."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from functools import partial
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException

from sat_hook.clients.asynchronous import AsyncSATClient
from sat_hook.domain.event_record import Provenance
from sat_hook.hooks.application_database import DEFAULT_CONNECTION, ApplicationHook
from sat_hook.hooks.sat import SATHook
from sat_hook.operators.rollback_check import pause_if_rolled_back
from sat_hook.operators.run_context import asked_by, parameters_of, provenance_of, run_of, triggering_user
from sat_hook.pipeline.account_rules import (
    record_account_run,
    recovery_limits,
    refuse_account_run,
    rules_of_account,
)
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
    :param dedup_horizon_hours: how long after its first sending an order may be sent again (templated); none
        is what the account's rules say. It can only be shorter than those.
    :param give_up_after_hours: when an order without an end is handed to people (templated).
    """

    template_fields: Sequence[str] = ("sat_conn_id", "dedup_horizon_hours", "give_up_after_hours")
    ui_color = "#f3ead9"

    def __init__(
        self,
        *,
        sat_conn_id: str = SATHook.default_conn_name,
        db_conn_id: str = DEFAULT_CONNECTION,
        dedup_horizon_hours: float | str | None = None,
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
        clock = application.handler.clock
        try:
            seen = observation_of(sat.settings.account, await sat.ask(account_call()), clock.now())
        except SATError as error:
            self.log.warning("The deposit could not be looked at: %s", error)
            return
        await asyncio.to_thread(record_observation, application.funds, clock, seen, provenance)

    def _free_lost_rows(self, application: ApplicationHook, account: str) -> None:
        """Rows of ``order_intake`` whose run came to nothing wait for the next one, and people are told."""
        tell = partial(raise_alerts, application.alerts)
        if freed := free_lost_rows(application.store, application.intake, account, tell):
            self.log.warning("Freed rows of order_intake of %s runs that came to nothing.", len(freed))

    def _horizon_seconds(self, application: ApplicationHook, account: str, context: Context) -> float:
        """How long after its first sending an order may be sent again.

        Parameters that a person gave are recorded.

        :raises AirflowFailException: when a run asks for longer than the account's rules; nothing was done.
        """
        handler = application.handler
        longest = recovery_limits(rules_of_account(application.store, account)).dedup_horizon_seconds
        text = str(self.dedup_horizon_hours).strip()
        asked = longest if text in ("", "None") else float(text) * 3600
        run, parameters = run_of(context), parameters_of(context)
        if asked > longest:
            found = f"found {asked / 3600:g}; expected at most {longest / 3600:g}"
            looser = {"dedup_horizon_hours": found}
            raise AirflowFailException(
                str(refuse_account_run(handler, account, run, parameters, looser, asked_by(context)))
            )
        if parameters and triggering_user(context):
            record_account_run(handler, account, run, parameters, asked_by(context))
        return asked

    async def _recover(self, context: Context) -> RecoveryReport:
        application = ApplicationHook(self.db_conn_id, "sat recovery")
        await application.aconnect()
        hook = SATHook(self.sat_conn_id, application.database)
        settings = await hook.asettings()
        provenance = provenance_of(context)
        horizon_seconds = await asyncio.to_thread(
            self._horizon_seconds, application, settings.account, context
        )
        limits = RecoveryLimits(
            dedup_horizon_seconds=horizon_seconds,
            give_up_after_seconds=float(self.give_up_after_hours) * 3600,
        )
        await asyncio.to_thread(pause_if_rolled_back, application, settings.account, provenance)
        await asyncio.to_thread(self._free_lost_rows, application, settings.account)
        async with hook.async_client() as sat:
            await self._look_at_deposit(application, sat, provenance)
            recovery = Recovery(
                application.handler,
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
