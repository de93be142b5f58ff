"""Alerts people to what needs them: escalated orders, reversals, late successes, contradicting evidence,
charges above a quote, stopped chunks, foreign spending, and alerts that other DAGs raise.

Each event of the log is sent once, however often this DAG runs. Other DAGs can be scheduled on the assets
``sat://alerts/order_escalated``, ``sat://alerts/order_reversed`` and so on. People are notified through the
notifier that the Airflow Variable ``sat_alerts`` names; without one, alerts go to this DAG's log.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from sat_hook.operators.alerts import (
    ANNOUNCED,
    SATCollectAlertsOperator,
    SATNotifyOperator,
    SATSettleAnnouncedOperator,
    SATTellUsersOperator,
)
from sat_hook.operators.schedules import in_wib

with DAG(
    "alerts",
    description="Tell people and other DAGs what has to be looked at",
    schedule=in_wib("*/5 * * * *"),
    catchup=False,
    max_active_runs=1,
    tags=["sat", "alerts"],
    doc_md=__doc__,
    default_args={
        "owner": "disbursement",
        "retries": 1,
        "retry_delay": timedelta(seconds=30),
        "execution_timeout": timedelta(minutes=5),
    },
) as dag:
    collect = SATCollectAlertsOperator(
        task_id="collect",
        doc_md="Read the log from where the last run left it; raise an asset event for each kind of alert.",
    )
    announced = SATSettleAnnouncedOperator(
        task_id="announced",
        keys=collect.output[ANNOUNCED],
        doc_md="Put down that Airflow has these asset events: it takes them with the success of `collect`.",
    )
    notify = SATNotifyOperator(
        task_id="notify",
        # Alerts collected earlier are sent even while collecting fails.
        trigger_rule="all_done",
        doc_md="Send what people were not told yet through the configured notifier.",
    )

    users = SATTellUsersOperator(
        task_id="users",
        trigger_rule="all_done",
        doc_md="Send each user what the user chose on the page Notifications of the console.",
    )

    collect >> [announced, notify, users]
