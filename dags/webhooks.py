"""Tells other systems every minute what happened: batches that completed; orders that ended, are held or were
escalated; breaks that were found.

Each message is signed by the convention of standardwebhooks.com and carries its position in the log. A
message that is not taken is tried again for 24 hours. People with the right `webhooks` say which systems are
told of what (`sat webhook set`). Without a webhook a run costs two reads.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from sat_hook.operators.schedules import in_wib
from sat_hook.operators.webhooks import SATTellWebhooksOperator

with DAG(
    "webhooks",
    description="Tell other systems what happened",
    schedule=in_wib("* * * * *"),
    catchup=False,
    max_active_runs=1,
    tags=["sat", "alerts"],
    doc_md=__doc__,
    default_args={
        "owner": "disbursement",
        "retries": 1,
        "retry_delay": timedelta(seconds=10),
        "execution_timeout": timedelta(minutes=5),
    },
) as dag:
    SATTellWebhooksOperator(
        task_id="tell",
        doc_md="Read the log from where the last run left it, and post what is due.",
    )
