"""Signs what is new in the log, every minute, and publishes it outside the database.

A checkpoint covers a closed range of positions and is chained to the one before it, so that nothing that
stands below the last published one can be changed, removed, inserted or moved without being found
(`sat log verify`). A minute without news costs a look. A failure is worth somebody's night when it says that
two logs were found.
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
