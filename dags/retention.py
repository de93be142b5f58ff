"""Keeps the database small: makes the log's partitions ahead, removes what the retention policy lets go.

Without a policy that says ``run = true`` it removes nothing and says in the task's log what would go.

Nothing stops while this DAG is off: events then go on in the partition of the month before.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from sat_hook.operators.retention import SATMakePartitionsOperator, SATRetainOperator
from sat_hook.operators.schedules import in_wib

with DAG(
    "retention",
    description="Make partitions of the log ahead, remove what the policy lets go",
    # 00:05 in Jakarta, soon after a month has ended.
    schedule=in_wib("5 0 * * *"),
    catchup=False,
    max_active_runs=1,
    tags=["sat", "audit"],
    doc_md=__doc__,
    default_args={
        "owner": "audit",
        "retries": 3,
        "retry_delay": timedelta(minutes=5),
        "execution_timeout": timedelta(hours=1),
    },
) as dag:
    make_partitions = SATMakePartitionsOperator(
        task_id="make_partitions",
        doc_md="Make the log's next partitions; in a new month, turn to the next one.",
    )
    retain = SATRetainOperator(
        task_id="retain",
        doc_md="Say what the retention policy lets go, and remove it when the policy says so.",
    )
    make_partitions >> retain
