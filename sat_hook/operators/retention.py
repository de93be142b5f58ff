"""How long data is kept, as operators."""

from __future__ import annotations

from airflow.sdk import Context

from sat_hook.application.retention import Retention
from sat_hook.operators.base import DatabaseOperator
from sat_hook.store.log_partitions import LogPartitions


class SATRetentionOperator(DatabaseOperator):
    """Base of all that keep the database small."""

    ui_color = "#e9e6f5"
    component = "sat retention"

    @property
    def retention(self) -> Retention:
        """The retention of the application database."""
        application = self.application
        return Retention(
            LogPartitions(application.store.database), application.alerts, application.handler.clock
        )


class SATMakePartitionsOperator(SATRetentionOperator):
    """Make the log's next partitions, and let a new month begin the next one. It can run at any time."""

    def execute(self, context: Context) -> dict[str, int | bool]:  # noqa: ARG002 - as Airflow calls it
        """Run once; return what was made."""
        made = self.retention.make_partitions()
        return {"made": made.made, "turned": made.is_turned}
