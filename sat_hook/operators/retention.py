"""How long data is kept, as an operator."""

from __future__ import annotations

from airflow.sdk import Context

from sat_hook.application.retention import Retention
from sat_hook.operators.base import DatabaseOperator
from sat_hook.store.log_partitions import LogPartitions


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
