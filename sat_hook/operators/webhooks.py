"""One run of the webhooks, as an operator."""

from __future__ import annotations

from collections.abc import Sequence

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException

from sat_hook.clients.webhooks import networks_in
from sat_hook.hooks.webhooks import webhook_secrets
from sat_hook.operators.base import DatabaseOperator
from sat_hook.pipeline.webhooks import tell_webhooks
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
        settings = application.settings
        report = tell_webhooks(
            application.store,
            WebhookQueue(application.database),
            webhook_secrets,
            networks_in(settings.webhook_networks),
            application.handler.clock,
            settings.webhooks,
        )
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
