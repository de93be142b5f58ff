"""The sheet of the orders, and formulas that count and add up its columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from sat_hook.presentation.language import Wording
from sat_hook.presentation.language import marked as _
from sat_hook.presentation.sheets import Column, Formats, Formula, Kind, Sheet, reference
from sat_hook.reconciliation.breaks_file import order_columns
from sat_hook.reconciliation.model import ORDER_COLUMNS

ORDERS = _("orders")
COLUMNS: dict[str, Column] = {
    "request_id": Column(_("Request id"), 36, Kind.TEXT),
    "order_id": Column(_("Order"), 18, Kind.TEXT),
    "batch_id": Column(_("Batch"), 30, Kind.TEXT),
    "row_number": Column(_("Row"), 8, Kind.COUNT),
    "product_code": Column(_("Product"), 26, Kind.TEXT),
    "client_number": Column(_("Client number (masked)"), 18, Kind.TEXT),
    "state": Column(_("Status"), 16, Kind.WORD),
    "state_at_close": Column(_("Status at the close"), 16, Kind.WORD),
    "sent_at": Column(_("Sent (WIB)"), 19, Kind.MOMENT),
    "ended_at": Column(_("Ended (WIB)"), 19, Kind.MOMENT),
    "is_sent_in_day": Column(_("Sent in the day"), 11, Kind.WORD),
    "quote_rupiah": Column(_("Quoted (Rp)"), 20, Kind.RUPIAH),
    "charged_rupiah": Column(_("Price (Rp)"), 20, Kind.RUPIAH),
    "admin_fee_rupiah": Column(_("Admin fee (Rp)"), 20, Kind.RUPIAH),
    "partner_fee_rupiah": Column(_("Partner fee (Rp)"), 20, Kind.RUPIAH),
    "debit_rupiah": Column(_("Debited (Rp)"), 20, Kind.RUPIAH),
    "refund_rupiah": Column(_("Refunded (Rp)"), 20, Kind.RUPIAH),
    "in_transit_opening_rupiah": Column(_("In transit at the opening (Rp)"), 20, Kind.RUPIAH),
    "in_transit_closing_rupiah": Column(_("In transit at the close (Rp)"), 20, Kind.RUPIAH),
    "evidence": Column(_("Evidence"), 16, Kind.WORD),
    "settlement": Column(_("Settlement file"), 17, Kind.WORD),
    "breaks": Column(_("Breaks"), 8, Kind.COUNT),
    "last_position": Column(_("Log position"), 12, Kind.COUNT),
}
_HEADER_ROWS = 2
_PAGES = 3
"""Side by side on paper: all columns on one page would be too small to read."""
_EPOCH_DAYS = 25_569  # 1970-01-01 as a spreadsheet's day number
_MICROSECONDS_A_DAY = 86_400_000_000
_WIB_MICROSECONDS = 7 * 3_600_000_000

# Words that a spreadsheet reads as a number, date, time or truth value, after digits and marks are removed. A
# criterion that it reads that way is compared as that value, and finds other cells than its own text.
_READ_AS_VALUES = re.compile(
    "|e|am?|pm?|true|false|benar|salah"
    "|jan(uar[yi])?|feb(ruar[yi])?|mar(ch|et)?|apr(il)?|ma[yi]|mei|june?|juni|july?|juli"
    "|au?g(ust)?|ag[us](stus)?|sept?(ember)?|o[ck]t(ober)?|nov(ember)?|de[cs](ember)?",
    re.IGNORECASE,
)
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.,:/-]{0,99}", re.ASCII)


def is_plain_criterion(word: str, others: Sequence[str]) -> bool:
    """Whether COUNTIFS and SUMIFS find only ``word`` among the cells ``others``.

    These functions read wildcards and comparisons, ignore case, and compare text that looks like a number or
    a date as one (``0100`` finds ``100``).
    """
    if not _PLAIN.fullmatch(word) or _READ_AS_VALUES.fullmatch(re.sub(r"[^A-Za-z]", "", word)):
        return False
    return sum(1 for other in others if other.casefold() == word.casefold()) == 1


class OrderSheet:
    """The orders' place in the workbook; formulas name their cells."""

    def __init__(self, orders: pd.DataFrame, wording: Wording) -> None:
        self._orders = orders
        self._name = wording.text(ORDERS)

    def cells(self, name: str) -> str:
        """The cells of a column, for example ``orders!$P$3:$P$202``."""
        last = _HEADER_ROWS + len(self._orders) - 1
        return reference(self._name, list(COLUMNS).index(name), _HEADER_ROWS, last)

    def write(self, book: Any, formats: Formats) -> None:
        """Write the sheet. The sums of the filtered rows are above the titles."""
        columns = list(COLUMNS.values())
        sheet = Sheet(book, formats, ORDERS, [column.width for column in columns])
        totals: list[Formula | str | None] = [None] * len(columns)
        totals[0] = sheet.say(_("Total of the rows that the filter shows"))
        totals[1] = Formula(f"=SUBTOTAL(103,{self.cells('request_id')})", len(self._orders))
        for place, (name, column) in enumerate(COLUMNS.items()):
            if column.kind is Kind.RUPIAH:
                totals[place] = Formula(f"=SUBTOTAL(109,{self.cells(name)})", int(self._orders[name].sum()))
        kinds = [column.kind for column in columns]
        sheet.line(totals, [Kind.TEXT, Kind.COUNT, *kinds[2:]], is_total=True)
        sheet.header(columns)
        sheet.freeze(_HEADER_ROWS, 2)
        sheet.print_on(_PAGES, 2)
        self._write_rows(sheet, kinds)
        sheet.inside.autofilter(
            _HEADER_ROWS - 1, 0, max(_HEADER_ROWS + len(self._orders) - 1, _HEADER_ROWS), len(columns) - 1
        )

    def _write_rows(self, sheet: Sheet, kinds: Sequence[Kind]) -> None:
        # Written cell by cell and by type: this is most of the time that a workbook takes.
        values: list[Sequence[str | float | None]] = []
        for name, kind, cells in zip(ORDER_COLUMNS, kinds, order_columns(self._orders), strict=True):
            if kind is Kind.MOMENT:
                values.append(_day_numbers(self._orders[name]))
            else:
                values.append(_translated(cells, sheet) if kind is Kind.WORD else cells)
        looks = [sheet.formats.plain[kind] for kind in kinds]
        write_string, write_number = sheet.inside.write_string, sheet.inside.write_number
        for row, line in enumerate(zip(*values, strict=True), start=_HEADER_ROWS):
            for place, cell in enumerate(line):
                if cell is None or cell == "":
                    continue
                (write_string if isinstance(cell, str) else write_number)(row, place, cell, looks[place])


def _translated(cells: Sequence[str | int], sheet: Sheet) -> list[str]:
    said = {word: sheet.say(str(word)) for word in set(cells) if word}
    return [said.get(word, "") for word in cells]


def _day_numbers(column: pd.Series) -> list[float | None]:
    """Return moments as a spreadsheet stores them: days and fractions of days, in WIB."""
    at = column.dt.tz_localize(None).to_numpy().astype("datetime64[us]")
    days = (at.astype("int64") + _WIB_MICROSECONDS) / _MICROSECONDS_A_DAY + _EPOCH_DAYS
    return [None if is_none else day for is_none, day in zip(np.isnat(at), days.tolist(), strict=True)]
