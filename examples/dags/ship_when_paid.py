"""Go on once an order that somebody else placed is paid, such as a row of a batch."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param, task

from sat_hook.sensors.order import SATOrderSensor

with DAG(
    "example_ship_when_paid",
    description="Example: wait for an order of a batch, and only go on when it is paid",
    schedule=None,
    catchup=False,
    tags=["sat", "example"],
    doc_md=__doc__,
    default_args={"owner": "warehouse", "retries": 2, "retry_delay": timedelta(seconds=10)},
    params={"order_id": Param(type="string", title="Order", description="As it stood in the file")},
) as dag:
    paid = SATOrderSensor(
        task_id="paid",
        order_id="{{ params.order_id }}",
        fail_unless_paid=True,
        doc_md="Holds no worker while it waits; fails when the order ends in any other way.",
    )

    @task(doc_md="Whatever comes next.")
    def ship(order: dict[str, object]) -> str:
        return f"shipping what belongs to {order['order_id']}"

    ship(paid.output)
