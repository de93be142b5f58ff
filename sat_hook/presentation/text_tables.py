"""Tables of text as files: CSV, or a workbook whose cells are text.

A spreadsheet that opens CSV turns 20 digits into 5,19616E+19 and drops leading zeros. In the workbook every
cell is text, so it shows exactly what was written. In both, what would run as a formula is text.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sat_hook.presentation.spreadsheet_csv import SpreadsheetWriter, neutral


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table.

    :param name: of the workbook's sheet.
    :param widths: of the workbook's columns, in characters.
    """

    name: str
    columns: tuple[str, ...]
    widths: tuple[int, ...]

    def csv(self, rows: Iterable[Sequence[str]], delimiter: str = ",") -> bytes:
        """The rows below the columns' names, as UTF-8 with a byte order mark."""
        out = io.StringIO(newline="")
        writer = SpreadsheetWriter(out, delimiter)
        for cells in (self.columns, *rows):
            writer.row(cells)
        return out.getvalue().encode("utf-8-sig")

    def workbook(self, rows: Iterable[Sequence[str]]) -> bytes:
        """The rows below the columns' names, as XLSX."""
        # Imported here: only requests for a workbook need the library.
        import xlsxwriter  # type: ignore[import-untyped]

        out = io.BytesIO()
        with xlsxwriter.Workbook(out, {"in_memory": True}) as book:
            sheet: Any = book.add_worksheet(self.name)
            # Keeps a cell text when a user edits it.
            text = book.add_format({"num_format": "@"})
            for place, width in enumerate(self.widths):
                sheet.set_column(place, place, width, text)
            for number, cells in enumerate((self.columns, *rows)):
                for place, cell in enumerate(cells):
                    sheet.write_string(number, place, neutral(cell), text)
            sheet.freeze_panes(1, 0)
        return out.getvalue()
