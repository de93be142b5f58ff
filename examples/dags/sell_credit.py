"""Buy mobile credit for a customer, once, and tell how it ended.

The order id comes from the shop: triggered twice with the same one, the credit is bought once.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param, task

from sat_hook.operators.order import SATCheckoutOperator
from sat_hook.sensors.order import SATOrderSensor

with DAG(
    "example_sell_credit",
    description="Example: one order through SAT, bought once and followed to its end",
    schedule=None,
    catchup=False,
    tags=["sat", "example"],
    doc_md=__doc__,
    default_args={"owner": "shop", "retries": 3, "retry_delay": timedelta(seconds=10)},
    params={
        "order_id": Param(type="string", title="Order", description="The shop's own id, unique for ever"),
        "product_code": Param("25k-xl", type="string", title="Product"),
        "client_number": Param(type="string", pattern="^0[0-9]{8,13}$", title="Mobile number"),
    },
) as dag:
    buy = SATCheckoutOperator(
        task_id="buy",
        order_id="{{ params.order_id }}",
        product_code="{{ params.product_code }}",
        client_number="{{ params.client_number }}",
        max_rupiah=30_000,
        doc_md="Buy it, for 30,000 rupiah at most. A retry asks for the status instead of sending again.",
    )
    wait = SATOrderSensor(
        task_id="wait",
        order_id="{{ params.order_id }}",
        give_up_after_hours=6,
        doc_md="Wait, deferred, for SAT's signed word; after six hours people have to find out.",
    )

    @task(doc_md="What the shop makes of it.")
    def tell(order: dict[str, object]) -> str:
        if order["state"] == "succeeded":
            # What it cost is not known of an order that a person called paid.
            cost = order["charged_rupiah"] or order["price_rupiah"]
            return f"order {order['order_id']} is paid and cost Rp {cost:,}"
        if order["is_final"]:
            return f"order {order['order_id']} costs nothing: {order['reason']}"
        return f"nobody knows yet about order {order['order_id']}: {order['verdict']}"

    buy >> wait
    tell(wait.output)
