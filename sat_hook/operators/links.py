"""Links that a task shows in Airflow's pages, also while it is deferred."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow.sdk import BaseOperatorLink
from airflow.sdk.configuration import conf

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


class BatchProgressLink(BaseOperatorLink):
    """Links to the page of the task's batch: counts, rate, estimated end."""

    name = "Batch progress"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The page's path on the server that shows the link, independent of the server's host name."""
        del ti_key  # the operator's fields are rendered by now
        batch_id = getattr(operator, "batch_id", None)
        return progress_path(batch_id) if batch_id and batch_id != "None" else ""


def approval_url(batch_id: str) -> str:
    """The console's page of a batch's approval; empty where Airflow does not know its own address."""
    base = conf.get("api", "base_url", fallback="").rstrip("/")
    return f"{base}/sat/console/approvals/{batch_id}" if base.startswith(("http://", "https://")) else ""


def progress_path(batch_id: str) -> str:
    """The path of a batch's page in the console, below Airflow's own base path."""
    below = urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/")
    return f"{below}/sat/console/batches/{batch_id}"
