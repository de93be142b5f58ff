"""The price of a bill, for your own DAGs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import Context

from sat_hook.hooks.sat import SATHook
from sat_hook.operators.base import SATOperator
from sat_hook.operators.parameters import limit_of, rendered_fields, text_or_none
from sat_hook.operators.run_context import failing_for_good
from sat_hook.protocol.messages import InquiryRequest, NameValue


class SATInquiryOperator(SATOperator):
    """Ask SAT for the amount of a bill. It has no side effects and returns only prices, in rupiah.

    :param product_code: as SAT lists it (templated).
    :param client_number: the bill's client number (rendered when the task runs, never stored).
    :param amount_rupiah: for open payments: the amount to pay (templated).
    :param fields: further fields of the product, by name (rendered when the task runs, never stored).
    :param downline_id: passed on to SAT (templated).
    """

    template_fields: Sequence[str] = ("product_code", "amount_rupiah", "downline_id", "sat_conn_id")
    component = "sat inquiry"

    def __init__(
        self,
        *,
        product_code: str,
        client_number: str,
        amount_rupiah: int | str | None = None,
        fields: Mapping[str, str] | None = None,
        downline_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.product_code = product_code
        self.client_number = client_number
        self.amount_rupiah = amount_rupiah
        self.fields = dict(fields or {})
        self.downline_id = downline_id

    def execute(self, context: Context) -> dict[str, int | str | None]:
        """Ask once; a final refusal fails the task at once, with SAT's codes."""
        request = InquiryRequest(
            product_code=self.product_code,
            client_number=str(self.render_template(self.client_number, context)).strip(),
            amount_rupiah=limit_of("amount_rupiah", self.amount_rupiah),
            fields=tuple(NameValue(name=n, value=v) for n, v in rendered_fields(self, self.fields, context)),
            downline_id=text_or_none(self.downline_id),
        )
        database = self.application.database
        with failing_for_good(self.sat_conn_id):
            bill = SATHook(self.sat_conn_id, database).inquiry(request)
        self.log.info("The bill is Rp %s.", f"{bill.sales_price_rupiah:,}")
        return {
            "product_code": self.product_code,
            "sales_price_rupiah": bill.sales_price_rupiah,
            "base_price_rupiah": bill.base_price_rupiah,
            "admin_fee_rupiah": bill.admin_fee_rupiah,
            "min_payment_rupiah": bill.min_payment_rupiah,
            "max_payment_rupiah": bill.max_payment_rupiah,
        }
