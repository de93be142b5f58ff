"""What a check says of a row: green, amber or red, with a code, its parameters and a sentence.

The code and the parameters are for pages in any language; the sentence is English. Neither holds a customer's
number.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from sat_hook.domain.batch_events import RowSetAside, RowVerdict
from sat_hook.domain.guards import Ruling
from sat_hook.domain.order import Order, OrderState
from sat_hook.domain.order_commands import Hold, Reject
from sat_hook.domain.order_events import RejectionReason
from sat_hook.domain.pricing import CatalogueEntry
from sat_hook.pipeline.order_file import RowProblem

Parameters = Mapping[str, object]
"""Texts, whole numbers and None, by name."""
NO_PARAMETERS: Parameters = {}

BILL_WITHOUT_PRICE, SHORT_OF_FUNDS = "bill_without_price", "short_of_funds"

_COLUMNS = {
    RejectionReason.UNKNOWN_PRODUCT: "product_code",
    RejectionReason.UNREADABLE_PRODUCT: "product_code",
    RejectionReason.INACTIVE_PRODUCT: "product_code",
    RejectionReason.NO_PRICE: "product_code",
    RejectionReason.CLIENT_NUMBER_SHAPE: "client_number",
    RejectionReason.AMOUNT_NOT_ALLOWED: "amount_rupiah",
    RejectionReason.AMOUNT_BOUNDS: "amount_rupiah",
    RejectionReason.ABOVE_MAXIMUM: "max_rupiah",
}


class Light(StrEnum):
    """What becomes of a row: it can be paid; it can be, but look at it; it cannot be."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"

    @property
    def letter(self) -> bytes:
        """One byte, for a string of all rows."""
        return self.value[:1].encode("ascii")


class RowFinding(NamedTuple):
    """A row that is not simply paid, with no customer's number in its message or parameters.

    :param standing: what becomes of the row: ``refused``, ``already_known``, or the state of its order.
    :param column: the cell that it is about, by our name; empty when it is about the row.
    """

    row_number: int
    order_id: str
    standing: str
    code: str
    message: str
    light: Light
    column: str = ""
    parameters: Parameters = NO_PARAMETERS


class Origin(NamedTuple):
    """Where an earlier order came from: its batch's file, who submitted it and when (UTC, ISO 8601)."""

    file_name: str
    maker: str
    submitted_at: str


def of_problem(row_number: int, order_id: str | None, problem: RowProblem, file_name: str) -> RowFinding:
    """A row that cannot become an order."""
    return RowFinding(
        row_number,
        order_id or "",
        RowVerdict.REFUSED.value,
        problem.code,
        problem.message(file_name, row_number),
        Light.RED,
        problem.column,
        {"found": problem.shown_found, "expected": problem.expected, "title": problem.title},
    )


def of_row_set_aside(aside: RowSetAside, order: Order, origin: Origin | None) -> RowFinding:
    """A row whose order id another order has."""
    is_known = aside.verdict is RowVerdict.ALREADY_KNOWN
    return RowFinding(
        aside.row_number,
        aside.order_id or "",
        aside.verdict.value,
        aside.code,
        aside.message,
        Light.AMBER if is_known else Light.RED,
        "order_id",
        _about(order, origin),
    )


def of_rejection(
    order: Order, reject: Reject, entry: CatalogueEntry | None, near: str | None, file_name: str
) -> RowFinding:
    """An order that the catalogue does not allow; ``near`` is the product that was probably meant."""
    price = entry.price_rupiah if entry is not None else None
    return RowFinding(
        order.row_number,
        order.order_id,
        OrderState.REJECTED.value,
        reject.reason.value,
        _sentence(order, reject.detail, file_name),
        Light.RED,
        _COLUMNS.get(reject.reason, ""),
        {
            "product_code": "" if order.product_code.isdigit() else order.product_code,
            "nearest": near,
            "price_rupiah": price,
            "amount_rupiah": order.amount_rupiah,
            "max_rupiah": order.max_rupiah,
        },
    )


def of_hold(order: Order, ruling: Ruling, hold: Hold, origin: Origin | None, file_name: str) -> RowFinding:
    """An order that the guards would hold for a person."""
    earlier = ruling.earlier
    return RowFinding(
        order.row_number,
        order.order_id,
        OrderState.HELD.value,
        hold.reason.value,
        _sentence(order, hold.detail, file_name),
        Light.AMBER,
        "" if earlier is None else "client_number",
        {"price_rupiah": order.quote_rupiah} if earlier is None else _about(earlier, origin),
    )


def of_bill(order: Order, file_name: str) -> RowFinding:
    """A bill: SAT tells its price when the batch runs."""
    return RowFinding(
        order.row_number,
        order.order_id,
        OrderState.RECEIVED.value,
        BILL_WITHOUT_PRICE,
        _sentence(order, "a bill: SAT tells its amount when the batch runs", file_name),
        Light.AMBER,
        "product_code",
    )


def of_short_funds(order: Order, file_name: str) -> RowFinding:
    """An order that the free deposit does not reach, in row order."""
    return RowFinding(
        order.row_number,
        order.order_id,
        OrderState.QUOTED.value,
        SHORT_OF_FUNDS,
        _sentence(order, "the free deposit does not reach it; what follows is the policy's", file_name),
        Light.AMBER,
    )


def _sentence(order: Order, detail: str, file_name: str) -> str:
    return f"{file_name} row {order.row_number}: {detail}"


def _about(order: Order, origin: Origin | None) -> Parameters:
    """The order that a row repeats; without an origin it is in the same file."""
    here: dict[str, str | int | None] = {
        "order_id": order.order_id,
        "row": order.row_number,
        "state": order.state.value,
    }
    return here if origin is None else {**here, "batch_id": order.batch_id, **origin._asdict()}
