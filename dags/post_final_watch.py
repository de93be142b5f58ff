"""Rechecks orders that succeeded or failed one and seven days ago.

SAT may reverse a success, or pay an order it called failed. Every hour, for each account: ask for the status
of every order whose business day (WIB) it is. A change is a new event of the order and an alert. This DAG
never sends an order. An order whose day has passed without an answer was missed: that is a warning in the log
and an alert, and its status is still asked for during a week.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param

from sat_hook.operators.accounts import accounts, accounts_param
from sat_hook.operators.rechecks import SATRecheckOrdersOperator
from sat_hook.operators.schedules import in_wib

with DAG(
    "post_final_watch",
    description="Ask about ended orders again, one and seven days later",
    schedule=in_wib("20 * * * *"),
    catchup=False,
    max_active_runs=1,
    tags=["sat", "orders"],
    doc_md=__doc__,
    default_args={
        "owner": "disbursement",
        "retries": 2,
        "retry_delay": timedelta(minutes=2),
        "execution_timeout": timedelta(minutes=55),
    },
    params={
        "accounts": accounts_param("whose orders are looked at"),
        "days": Param(
            [1, 7],
            type="array",
            items={"type": "integer", "minimum": 1, "maximum": 365},
            minItems=1,
            maxItems=12,
            title="Days after the end",
            description="Business days (WIB); an order is looked at once on each",
        ),
        "hour": Param(
            6,
            type="integer",
            minimum=0,
            maximum=23,
            title="From hour",
            description="WIB; an order's day begins and ends at midnight",
        ),
        "orders": Param(
            20_000, type="integer", minimum=1, maximum=200_000, title="Orders of an account in one run"
        ),
    },
) as dag:
    SATRecheckOrdersOperator.partial(
        task_id="look_again",
        days="{{ params.days }}",
        hour="{{ params.hour }}",
        orders="{{ params.orders }}",
        map_index_template="{{ task.sat_conn_id }}",
        doc_md="The looks of one account that are due.",
    ).expand(sat_conn_id=accounts())
