"""How long data is kept, as an operator."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Context

from sat_hook.application.log_archive import LogArchive
from sat_hook.application.retention import Retention
from sat_hook.application.retention_plan import RetentionPlan, summary_of
from sat_hook.application.retention_policy import Kind, RetentionPolicy, policy_in
from sat_hook.hooks.application_database import ApplicationHook
from sat_hook.hooks.audit import audit_verifier, checkpoint_publication
from sat_hook.hooks.spool import archive_spool, results_spool, submissions_spool
from sat_hook.operators.audit import SATAuditOperator
from sat_hook.operators.base import DatabaseOperator
from sat_hook.operators.run_context import failing_for_good
from sat_hook.store.log_partitions import LogPartitions
from sat_hook.store.retention import RetentionTables

OWNER_CONNECTION = "sat_db_owner"


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


class SATRetainOperator(SATAuditOperator):
    """Say what the retention policy lets go and what must stay; remove it if the policy says so.

    :param owner_conn_id: the application database as the schema's owner; used only to archive the log, when
        the policy gives events a term and says ``run = true``.
    """

    component = "sat retention"

    def __init__(self, *, owner_conn_id: str = OWNER_CONNECTION, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.owner_conn_id = owner_conn_id

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
                self._archive(policy, application) if policy.days_of(Kind.EVENTS) is not None else None,
            )
            planned = retention.run() if policy.run else retention.plan()
        for line in summary_of(planned):
            self.log.info("%s%s", "" if policy.run else "Dry run: ", line)
        return {one.kind.value: one.items for one in planned}

    def _archive(self, policy: RetentionPolicy, application: ApplicationHook) -> LogArchive:
        deployment = application.settings
        # No role of a task can take events out of the database.
        used = ApplicationHook(self.owner_conn_id, self.component) if policy.run else application
        return LogArchive(
            used.database,
            archive_spool(deployment),
            audit_verifier(self.audit_conn_id),
            checkpoint_publication(deployment),
            application.handler.clock,
        )
