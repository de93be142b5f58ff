"""Summarises each week of product prices on one page: changes, new and removed products, and gaps in the
record.

Every Monday morning (WIB), for each account, beside the result files: `prices/ACCOUNT/2026-W47.html`. The
same week gives the same page; `sat prices week` shows it on a terminal.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Asset, Param

from sat_hook.operators.accounts import accounts, accounts_param
from sat_hook.operators.prices import SATSummarisePricesOperator
from sat_hook.operators.schedules import in_wib

PRICE_WEEKS = Asset("sat://price_weeks", group="sat")

with DAG(
    "product_price_week",
    description="Write the weekly page of product prices",
    # 08:30 on Monday in Jakarta.
    schedule=in_wib("30 8 * * 1"),
    catchup=False,
    max_active_runs=1,
    tags=["sat", "prices"],
    doc_md=__doc__,
    default_args={
        "owner": "disbursement",
        "retries": 3,
        "retry_delay": timedelta(minutes=5),
        "execution_timeout": timedelta(minutes=10),
    },
    params={
        "accounts": accounts_param("whose prices are summed up"),
        "day": Param(
            None,
            type=["null", "string"],
            format="date",
            title="A day of the week",
            description="Empty: the last week that is over",
        ),
    },
) as dag:
    SATSummarisePricesOperator.partial(
        task_id="summarise",
        day="{{ params.day or '' }}",
        outlets=[PRICE_WEEKS],
        map_index_template="{{ task.sat_conn_id }}",
        doc_md="Write one account's page.",
    ).expand(sat_conn_id=accounts())
