"""The sheet of products and states: a line each, by formulas if the orders are in the workbook."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sat_hook.presentation.language import Wording
from sat_hook.presentation.language import marked as _
from sat_hook.presentation.sheets import Cell, Column, Formats, Formula, Kind, Sheet, reference
from sat_hook.reconciliation.day_figures import TOTALLED, OrderGroup
from sat_hook.reconciliation.figures import OrderLine, by_product_and_state
from sat_hook.reconciliation.order_sheet import OrderSheet, is_plain_criterion

MAXIMUM_FORMULA_LINES = 500
"""Lines of products and states that are formulas; more would make every opening of the workbook slow."""
PER_PRODUCT = _("per product and status")

_TOTAL_TITLES = (
    _("Quoted (Rp)"),
    _("Price (Rp)"),
    _("Admin fee (Rp)"),
    _("Partner fee (Rp)"),
    _("Debited (Rp)"),
    _("Refunded (Rp)"),
    _("In transit, opening (Rp)"),
    _("In transit, close (Rp)"),
)
"""Of the columns of TOTALLED, in their order."""
TOTALS = (
    Column(_("Orders"), 10, Kind.COUNT),
    *(Column(title, 20, Kind.RUPIAH) for title in _TOTAL_TITLES),
)


class ProductSheet:
    """One line per product and state, by formulas if the orders are in the workbook."""

    _FIRST = 2

    def __init__(self, groups: Sequence[OrderGroup], inside: OrderSheet | None, wording: Wording) -> None:
        self._name = wording.text(PER_PRODUCT)
        self._lines = by_product_and_state(groups)
        self._inside = inside
        self._products = sorted({line.product_code for line in self._lines})

    def cells(self, column: int) -> str:
        """The cells of a column: 0 the product, 1 the state, 2 the number of orders, then the totals."""
        return reference(self._name, column, self._FIRST, self._FIRST + len(self._lines) - 1)

    def write(self, book: Any, formats: Formats) -> None:
        columns = (Column(_("Product"), 30, Kind.TEXT), Column(_("Status"), 16, Kind.WORD), *TOTALS)
        sheet = Sheet(book, formats, PER_PRODUCT, [column.width for column in columns])
        sums = [sum(values) for values in zip(*map(values_of, self._lines), strict=True)] or NO_ORDERS
        totals: list[Cell] = [sheet.say(_("Total of the rows that the filter shows")), None]
        totals += [
            Formula(f"=SUBTOTAL(109,{self.cells(place)})", total) for place, total in enumerate(sums, start=2)
        ]
        kinds = [column.kind for column in columns]
        sheet.line(totals, kinds, is_total=True)
        sheet.header(columns)
        sheet.freeze(self._FIRST, 2)
        for line in self._lines:
            counted = self._counted(line.product_code, sheet.row, values_of(line))
            sheet.line([line.product_code, line.state, *counted])
        last = self._FIRST + max(len(self._lines) - 1, 0)
        sheet.inside.autofilter(self._FIRST - 1, 0, last, len(columns) - 1)
        if self._inside is None:
            sheet.note(_("Values, not formulas: the orders are in a file of their own."))

    def _counted(self, product: str, row: int, values: Sequence[int]) -> Sequence[Cell]:
        inside = self._inside
        if (
            inside is None
            or len(self._lines) > MAXIMUM_FORMULA_LINES
            or not is_plain_criterion(product, self._products)
        ):
            return values
        of_line = f"{inside.cells('product_code')},$A{row + 1},{inside.cells('state')},$B{row + 1}"
        return [
            Formula(f"=COUNTIFS({of_line})", values[0]),
            *(
                Formula(f"=SUMIFS({inside.cells(name)},{of_line})", value)
                for name, value in zip(TOTALLED, values[1:], strict=True)
            ),
        ]


NO_ORDERS = [0] * (1 + len(TOTALLED))


def values_of(line: OrderLine) -> list[int]:
    return [line.orders, *line.totals.values()]
