"""How long data is kept, as an operator."""

from __future__ import annotations

from airflow.sdk import Context

from sat_hook.application.retention import Retention
from sat_hook.application.retention_plan import RetentionPlan, summary_of
from sat_hook.application.retention_policy import policy_in
from sat_hook.hooks.spool import results_spool, submissions_spool
from sat_hook.operators.base import DatabaseOperator
from sat_hook.operators.run_context import failing_for_good
from sat_hook.store.log_partitions import LogPartitions
from sat_hook.store.retention import RetentionTables


class SATMakePartitionsOperator(DatabaseOperator):
    """Make the log's next partitions, and let a new month begin the next one. It can run at any time."""

    ui_color = "#e9e6f5"
    component = "sat retention"

    def execute(self, context: Context) -> dict[str, int | bool]:  # noqa: ARG002 - as Airflow calls it
        """Run once; return what was made."""
        application = self.application
        partitions = LogPartitions(application.database)
        made = Retention(partitions, application.alerts, application.handler.clock).make_partitions()
        return {"made": made.made, "turned": made.is_turned}


class SATRetainOperator(DatabaseOperator):
    """Say what the retention policy lets go and what must stay; remove it if the policy says so."""

    ui_color = "#e9e6f5"
    component = "sat retention"

    def execute(self, context: Context) -> dict[str, int]:  # noqa: ARG002 - as Airflow calls it
        """Run once; return how many of each kind went, or would go."""
        with failing_for_good():
            application = self.application
            deployment = application.settings
            policy = policy_in(deployment.retention_file)
            retention = RetentionPlan(
                policy,
                RetentionTables(application.database),
                submissions_spool(deployment),
                results_spool(deployment),
                application.store.database_time(),
            )
            planned = retention.run() if policy.run else retention.plan()
        for line in summary_of(planned):
            self.log.info("%s%s", "" if policy.run else "Dry run: ", line)
        return {one.kind.value: one.items for one in planned}
