"""Sends each user who wants one a digest at 08:00 (WIB): the alerts since the last digest, and what waits.

Users choose it on the page Notifications of the console. It goes out through the channels that the Airflow
Variable ``sat_channels`` names. A quiet day has a digest, too, so that a missing one is noticed.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from sat_hook.operators.alerts import SATTellUsersOperator
from sat_hook.operators.schedules import in_wib

with DAG(
    "alerts_digest",
    description="Tell people each morning what happened and what waits",
    schedule=in_wib("0 8 * * *"),
    catchup=False,
    max_active_runs=1,
    tags=["sat", "alerts"],
    doc_md=__doc__,
    default_args={
        "owner": "disbursement",
        "retries": 3,
        "retry_delay": timedelta(minutes=2),
        "execution_timeout": timedelta(minutes=10),
    },
) as dag:
    SATTellUsersOperator(
        task_id="digest",
        is_digest=True,
        doc_md="One message for each user and channel.",
    )
