"""Verifies the log every night, as `sat log verify` does, and alerts people to any problem.

It checks digests, versions, every checkpoint and their chain, and the newest published copy: of what is newer
than the last verification that found nothing. `audit_full_verification` verifies older events. Damage is an
alert and a failed task until a person has looked at it; stopped checkpoints are one alert a day.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param

from sat_hook.operators.audit import SATVerifyLogOperator
from sat_hook.operators.schedules import in_wib

with DAG(
    "audit_verification",
    description="Verify the log: digests, versions, checkpoints, what was published",
    # 02:40 in Jakarta.
    schedule=in_wib("40 2 * * *"),
    catchup=False,
    max_active_runs=1,
    tags=["sat", "audit"],
    doc_md=__doc__,
    default_args={
        "owner": "audit",
        "retries": 2,
        "retry_delay": timedelta(minutes=5),
        "execution_timeout": timedelta(hours=12),
    },
    params={
        "everything": Param(
            None,
            type=["null", "boolean"],
            title="Everything",
            description="All that was ever recorded; else what is newer than the last good verification",
        ),
    },
) as dag:
    SATVerifyLogOperator(
        task_id="verify",
        everything="{{ params.everything }}",
        doc_md="Verify; each problem is a line of this log, and the first ones are alerts.",
    )
