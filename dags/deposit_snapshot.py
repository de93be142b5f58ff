"""Reads each account's deposit once an hour, so that every day has a saldo at both of its cut-offs.

The observations are in the account's books. Orders and recorded top-ups must explain the difference between
two of them (`nightly_reconciliation`). A cut-off that is not a full hour needs a schedule that meets it.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from sat_hook.operators.accounts import accounts, accounts_param
from sat_hook.operators.reconciliation import SATObserveDepositOperator
from sat_hook.operators.schedules import in_wib

with DAG(
    "deposit_snapshot",
    description="Keep what the deposit of each account holds, once an hour",
    schedule=in_wib("0 * * * *"),
    catchup=False,
    max_active_runs=1,
    tags=["sat", "finance"],
    doc_md=__doc__,
    default_args={
        "owner": "finance",
        "retries": 3,
        "retry_delay": timedelta(seconds=20),
        "execution_timeout": timedelta(minutes=5),
    },
    params={
        "accounts": accounts_param("whose deposits are looked at"),
    },
) as dag:
    SATObserveDepositOperator.partial(
        task_id="observe",
        map_index_template="{{ task.sat_conn_id }}",
        doc_md="One look at one deposit.",
    ).expand(sat_conn_id=accounts())
