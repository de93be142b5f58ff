"""Ask SAT how an order stands, and keep what SAT's signature proves."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param

from sat_hook.operators.status import SATStatusOperator

with DAG(
    "example_look_at_an_order",
    description="Example: ask for the status of one order",
    schedule=None,
    catchup=False,
    tags=["sat", "example"],
    doc_md=__doc__,
    default_args={"owner": "support", "retries": 2, "retry_delay": timedelta(seconds=10)},
    params={"order_id": Param(type="string", title="Order", description="The submitter's own id")},
) as dag:
    SATStatusOperator(
        task_id="look",
        order_id="{{ params.order_id }}",
        doc_md="One question; what it returns is how the order stands then.",
    )
