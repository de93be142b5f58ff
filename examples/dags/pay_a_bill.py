"""Pay an electricity bill, if it is not dearer than expected."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param, task

from sat_hook.operators.inquiry import SATInquiryOperator
from sat_hook.operators.order import SATCheckoutOperator
from sat_hook.sensors.order import SATOrderSensor

with DAG(
    "example_pay_a_bill",
    description="Example: ask what a bill costs, and pay exactly that",
    schedule=None,
    catchup=False,
    tags=["sat", "example"],
    doc_md=__doc__,
    default_args={"owner": "facilities", "retries": 3, "retry_delay": timedelta(seconds=10)},
    params={
        "order_id": Param(type="string", title="Order", description="Such as PLN-SITE7-2026-11"),
        "client_number": Param(type="string", title="Customer number at PLN"),
        "expected_rupiah": Param(1_000_000, type="integer", minimum=1, title="At most (rupiah)"),
    },
) as dag:
    ask = SATInquiryOperator(
        task_id="ask",
        product_code="pln-postpaid",
        client_number="{{ params.client_number }}",
        doc_md="What the bill costs. Free of consequences.",
    )

    @task.short_circuit(doc_md="Stop here when the bill is dearer than expected.")
    def is_as_expected(bill: dict[str, int] | None = None, params: dict[str, int] | None = None) -> bool:
        assert bill is not None
        assert params is not None
        return bill["sales_price_rupiah"] <= params["expected_rupiah"]

    pay = SATCheckoutOperator(
        task_id="pay",
        order_id="{{ params.order_id }}",
        product_code="pln-postpaid",
        client_number="{{ params.client_number }}",
        max_rupiah="{{ ti.xcom_pull('ask')['sales_price_rupiah'] }}",
        doc_md="Pay it: not a rupiah more than was asked for a moment ago.",
    )
    wait = SATOrderSensor(
        task_id="wait",
        order_id="{{ params.order_id }}",
        fail_unless_paid=True,
        doc_md="Wait for the end; here a bill that is not paid is a failed task.",
    )
    is_as_expected(ask.output) >> pay >> wait
