"""Signs new events of the log every minute, and publishes the checkpoints outside the database.

A checkpoint covers a closed range of positions and is chained to the one before it. A change, removal,
insertion or move below the last published checkpoint is therefore always found (`sat log verify`). A minute
without new events costs one read. A failure that reports two logs is worth waking a person for.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from sat_hook.operators.audit import SATCheckpointOperator
from sat_hook.operators.schedules import in_wib

with DAG(
    "audit_checkpoint",
    description="Sign and publish what is new in the log",
    schedule=in_wib("* * * * *"),
    catchup=False,
    max_active_runs=1,
    tags=["sat", "audit"],
    doc_md=__doc__,
    default_args={
        "owner": "audit",
        "retries": 1,
        "retry_delay": timedelta(seconds=10),
        "execution_timeout": timedelta(minutes=10),
    },
) as dag:
    SATCheckpointOperator(
        task_id="checkpoint",
        doc_md="Make checkpoints over what is new and settled, and publish those that are not published yet.",
    )
