"""One run of the webhooks, as an operator."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException

from sat_hook.clients.webhooks import networks_in
from sat_hook.hooks.webhooks import webhook_secrets
from sat_hook.operators.base import DatabaseOperator
from sat_hook.pipeline.webhooks import (
    WebhookReport,
    collect_messages,
    deliver_messages,
    forget_old_messages,
    webhooks_of,
)
from sat_hook.store.webhooks import WebhookQueue


class SATTellWebhooksOperator(DatabaseOperator):
    """Tell webhooks what happened since the last run, and what they could not be told before.

    A webhook that does not answer costs the others nothing, and does not fail the task: its messages are
    tried again for a day. The task fails when messages were given up, or a webhook's secrets cannot be read.
    """

    template_fields: Sequence[str] = ()
    ui_color = "#f3ead9"
    component = "sat webhooks"

    def execute(self, context: Context) -> dict[str, int]:
        """Run once; return the counts."""
        del context
        application = self.application
        settings, clock = application.settings, application.handler.clock
        queue, report = WebhookQueue(application.database), WebhookReport()
        collect_messages(application.store, queue, settings.webhooks, report)
        webhooks = {name: webhook for name, (webhook, _) in webhooks_of(application.store).items()}
        networks = networks_in(settings.webhook_networks)
        asyncio.run(
            deliver_messages(queue, webhooks, webhook_secrets, networks, clock, settings.webhooks, report)
        )
        forget_old_messages(queue, clock.now(), settings.webhooks)
        self.log.info(
            "%s new messages; %s delivered, %s to be tried again, %s given up.",
            report.new,
            report.delivered,
            report.failed,
            report.dead,
        )
        if report.trouble:
            raise AirflowFailException("; ".join(report.trouble[:5]))
        return {
            "new": report.new,
            "delivered": report.delivered,
            "failed": report.failed,
            "dead": report.dead,
        }
