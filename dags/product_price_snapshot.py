"""Keeps the history of product prices: what SAT listed, since when, until when.

Runs once an hour, and on request (`sat prices snapshot`). Only changes of the lists are kept, but every
attempt is. Changes are events of the asset `sat://product_prices`, with the list of them; price jumps are
alerts. A list that fails, or that lacks too much, fails the task and changes nothing.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Asset, Param, task_group

from sat_hook.operators.accounts import accounts, accounts_param
from sat_hook.operators.prices import SATAnnouncePricesOperator, SATSnapshotPricesOperator
from sat_hook.operators.schedules import in_wib

PRODUCT_PRICES = Asset("sat://product_prices", group="sat")

with DAG(
    "product_price_snapshot",
    description="Keep what SAT lists, since when and until when, and tell what changed",
    schedule=in_wib("7 * * * *"),
    catchup=False,
    max_active_runs=1,
    tags=["sat", "prices"],
    doc_md=__doc__,
    default_args={
        "owner": "disbursement",
        "retries": 2,
        "retry_delay": timedelta(seconds=30),
        "retry_exponential_backoff": True,
        "execution_timeout": timedelta(minutes=15),
    },
    params={
        "accounts": accounts_param("whose prices are followed"),
        "jump_percent": Param(
            10,
            type="integer",
            minimum=1,
            maximum=1_000,
            title="A jump is (percent)",
            description="People are told of a price that moved by at least that much at once",
        ),
        "missing_limit_percent": Param(
            10,
            type="integer",
            minimum=0,
            maximum=100,
            title="Missing products that are believed (percent)",
            description="A list of which more is missing changes nothing; raise it when that is how it is",
        ),
    },
) as dag:

    @task_group
    def prices(sat_conn_id: str) -> None:
        """One account's prices."""
        snapshot = SATSnapshotPricesOperator(
            task_id="snapshot",
            sat_conn_id=sat_conn_id,
            jump_percent="{{ params.jump_percent }}",
            missing_limit_percent="{{ params.missing_limit_percent }}",
            map_index_template="{{ task.sat_conn_id }}",
            doc_md="Read the price list, ask by name for what is missing, keep what changed.",
        )
        announce = SATAnnouncePricesOperator(
            task_id="announce",
            sat_conn_id=sat_conn_id,
            jump_percent="{{ params.jump_percent }}",
            outlets=[PRODUCT_PRICES],
            map_index_template="{{ task.sat_conn_id }}",
            doc_md="Announce the changes to the asset's consumers; skipped when nothing changed.",
        )
        snapshot >> announce

    prices.expand(sat_conn_id=accounts())
