"""Vouchers and serials as a file: CSV like the submitted one, or a workbook whose cells are text.

A spreadsheet that opens CSV turns 20 digits into 5,19616E+19 and drops leading zeros. In the workbook every
cell is text, so customers get exactly what SAT gave.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any

from sat_hook.presentation.spreadsheet_csv import SpreadsheetWriter, neutral

DELIVERY_COLUMNS = ("order_id", "row", "product_code", "client_number", "voucher_code", "serial_number")
_WIDTHS = (22, 8, 28, 22, 30, 30)


class GoodsFormat(StrEnum):
    """The file formats for goods."""

    CSV = "csv"
    XLSX = "xlsx"

    @property
    def media_type(self) -> str:
        """For an HTTP response."""
        if self is GoodsFormat.CSV:
            return "text/csv"
        return "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def goods_file(rows: Iterable[Sequence[str]], file_format: GoodsFormat, delimiter: str) -> bytes:
    """The file; ``rows`` have cells for ``DELIVERY_COLUMNS``. What would run as a formula is text.

    :param delimiter: of the CSV.
    """
    if file_format is GoodsFormat.XLSX:
        return _workbook(rows)
    out = io.StringIO(newline="")
    writer = SpreadsheetWriter(out, delimiter)
    for cells in (DELIVERY_COLUMNS, *rows):
        writer.row(cells)
    return out.getvalue().encode("utf-8-sig")


def _workbook(rows: Iterable[Sequence[str]]) -> bytes:
    # Imported here: only requests for a workbook need the library.
    import xlsxwriter  # type: ignore[import-untyped]

    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as book:
        sheet: Any = book.add_worksheet("goods")
        # Keeps a cell text when a user edits it.
        text = book.add_format({"num_format": "@"})
        for place, width in enumerate(_WIDTHS):
            sheet.set_column(place, place, width, text)
        for number, cells in enumerate((DELIVERY_COLUMNS, *rows)):
            for place, cell in enumerate(cells):
                sheet.write_string(number, place, neutral(cell), text)
        sheet.freeze_panes(1, 0)
    return out.getvalue()
