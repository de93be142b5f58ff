"""Recovers orders that a batch left without an end.

Every five minutes, for each account: ask for the statuses that are due; send again what SAT provably does not
know (same request id, same body, only while SAT refuses duplicates); escalate orders that will not end
without a person. It may run beside any batch: the log's version fence gives every order one sender.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param

from sat_hook.operators.accounts import accounts, accounts_param
from sat_hook.operators.recovery import SATRecoverOrdersOperator
from sat_hook.operators.schedules import in_wib

with DAG(
    "order_recovery",
    description="Ask about, send again, or hand over what batches left in flight",
    schedule=in_wib("*/5 * * * *"),
    catchup=False,
    max_active_runs=1,
    tags=["sat", "orders", "money"],
    doc_md=__doc__,
    default_args={
        "owner": "disbursement",
        "retries": 1,
        "retry_delay": timedelta(seconds=30),
        "execution_timeout": timedelta(minutes=30),
    },
    params={
        "accounts": accounts_param("to look after"),
        "dedup_horizon_hours": Param(
            None,
            type=["null", "number"],
            minimum=0,
            maximum=72,
            title="Hours in which a resend is safe",
            description="How long SAT is trusted to refuse a duplicate request id; empty: the account's rule",
        ),
        "give_up_after_hours": Param(
            24, type="number", exclusiveMinimum=0, maximum=720, title="Hours until people have to look"
        ),
    },
) as dag:
    SATRecoverOrdersOperator.partial(
        task_id="recover",
        dedup_horizon_hours="{{ params.dedup_horizon_hours }}",
        give_up_after_hours="{{ params.give_up_after_hours }}",
        map_index_template="{{ task.sat_conn_id }}",
        doc_md="One round over one account.",
    ).expand(sat_conn_id=accounts())
