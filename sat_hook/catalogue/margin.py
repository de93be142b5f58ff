"""What orders cost and earned, next to the price listed when they were sent. Pure.

In SAT's terms (protocol section 5.6) the sales price is what the deposit is charged, and the partner fee is
the commission on it. What customers pay the company is not on the wire, so no figure here includes it.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from sat_hook.domain.business_day import in_wib
from sat_hook.domain.order import OrderState
from sat_hook.presentation.spreadsheet_csv import SpreadsheetWriter
from sat_hook.store.prices import OrderMargin

MARGIN_COLUMNS = (
    "order_id",
    "request_id",
    "batch_id",
    "row",
    "product_code",
    "product_name",
    "state",
    "ordered_at_wib",
    "listed_rupiah",
    "listed_since_wib",
    "quote_rupiah",
    "sales_price_rupiah",
    "sales_price_minus_listed_rupiah",
    "admin_fee_rupiah",
    "partner_fee_rupiah",
    "margin_rupiah",
    "margin_percent",
)
"""Empty cells mean unknown, not zero."""


@dataclass(slots=True)
class ProductMargin:
    """The total of one product's succeeded orders. Rupiah.

    :param without_fee: how many of them have no partner fee, so their margin is unknown.
    :param above_listed: how many were charged more than was listed when they were sent.
    """

    product_code: str
    orders: int = 0
    sales_price_rupiah: int = 0
    margin_rupiah: int = 0
    without_fee: int = 0
    above_listed: int = 0

    @property
    def margin_percent(self) -> str:
        """The margin as per cent of the sales price; empty when that is zero."""
        return percent_of(self.margin_rupiah, self.sales_price_rupiah)


def margin_of(order: OrderMargin) -> int | None:
    """The commission of a succeeded order in rupiah; None for other orders and when SAT sent no fee."""
    return order.partner_fee_rupiah if order.state == OrderState.SUCCEEDED.value else None


def percent_of(margin_rupiah: int | None, sales_price_rupiah: int | None) -> str:
    """A margin as per cent of the sales price, to two places; empty when the price is unknown or zero."""
    if margin_rupiah is None or not sales_price_rupiah:
        return ""
    share = Decimal(margin_rupiah) * 100 / Decimal(sales_price_rupiah)
    return str(share.quantize(Decimal("0.01"), ROUND_HALF_EVEN))


def margin_lines(orders: Iterable[OrderMargin], totals: dict[str, ProductMargin]) -> Iterator[str]:
    """The report as lines of CSV, the header first; also fills ``totals``, by product code."""
    buffer = io.StringIO()
    writer = SpreadsheetWriter(buffer)
    writer.row(MARGIN_COLUMNS)
    for order in orders:
        yield _taken(buffer)
        _count(order, totals)
        writer.row(_cells(order))
    yield _taken(buffer)


def _cells(order: OrderMargin) -> list[object]:
    above = _above_listed(order)
    margin = margin_of(order)
    return [
        order.order_id,
        order.request_id,
        order.batch_id,
        order.row_number,
        order.product_code,
        order.product_name or "",
        order.state,
        in_wib(order.ordered_at),
        _cell(order.listed_rupiah),
        in_wib(order.listed_since),
        _cell(order.quote_rupiah),
        _cell(order.sales_price_rupiah),
        _cell(above),
        _cell(order.admin_fee_rupiah),
        _cell(order.partner_fee_rupiah),
        _cell(margin),
        percent_of(margin, order.sales_price_rupiah),
    ]


def _above_listed(order: OrderMargin) -> int | None:
    """Whether the charge exceeds the list price; unknown for bills, whose list price does not apply."""
    if order.sales_price_rupiah is None or order.listed_rupiah is None or order.is_inquiry:
        return None
    return order.sales_price_rupiah - order.listed_rupiah


def _count(order: OrderMargin, totals: dict[str, ProductMargin]) -> None:
    if order.state != OrderState.SUCCEEDED.value:
        return
    total = totals.setdefault(order.product_code, ProductMargin(order.product_code))
    total.orders += 1
    total.sales_price_rupiah += order.sales_price_rupiah or 0
    total.margin_rupiah += order.partner_fee_rupiah or 0
    total.without_fee += order.partner_fee_rupiah is None
    total.above_listed += (_above_listed(order) or 0) > 0


def _cell(amount: int | None) -> int | str:
    return "" if amount is None else amount


def _taken(buffer: io.StringIO) -> str:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text
