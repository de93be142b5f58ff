"""Tables of text as files: CSV, or a workbook whose cells are text.

A spreadsheet that opens CSV turns 20 digits into 5,19616E+19 and drops leading zeros. In the workbook every
cell is text, so it shows exactly what was written. In both, what would run as a formula is text.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import IO, Any, BinaryIO, cast

from sat_hook.presentation.spreadsheet_csv import SpreadsheetWriter, neutral

XLSX_MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class TableFormat(StrEnum):
    """The formats of a table's file."""

    CSV = "csv"
    XLSX = "xlsx"

    @property
    def media_type(self) -> str:
        """As HTTP names it."""
        return "text/csv" if self is TableFormat.CSV else XLSX_MEDIA_TYPE


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table.

    :param name: of the workbook's sheet.
    :param widths: of the workbook's columns, in characters.
    """

    name: str
    columns: tuple[str, ...]
    widths: tuple[int, ...]

    def content(self, rows: Iterable[Sequence[str]], *, as_workbook: bool, delimiter: str = ",") -> bytes:
        """The file in memory, for few rows, and for goods, which wait in no file."""
        out = io.BytesIO()
        if as_workbook:
            self.write_workbook(out, rows)
        else:
            self.write_csv(out, rows, delimiter)
        return out.getvalue()

    def write_csv(self, out: IO[bytes], rows: Iterable[Sequence[str]], delimiter: str = ",") -> None:
        """Write the rows below the columns' names, as UTF-8 with a byte order mark."""
        text = io.TextIOWrapper(cast("BinaryIO", out), encoding="utf-8-sig", newline="")
        writer = SpreadsheetWriter(text, delimiter)
        writer.row(self.columns)
        for cells in rows:
            writer.row(cells)
        text.detach()

    def write_workbook(
        self, out: IO[bytes], rows: Iterable[Sequence[str]], folder: str | None = None
    ) -> None:
        """Write the rows below the columns' names, as XLSX.

        :param folder: where the rows wait, so that memory does not hold them; None keeps them in memory.
        """
        # Imported here: only requests for a workbook need the library.
        import xlsxwriter  # type: ignore[import-untyped]

        waiting = {"in_memory": True} if folder is None else {"constant_memory": True, "tmpdir": folder}
        with xlsxwriter.Workbook(out, waiting) as book:
            sheet: Any = book.add_worksheet(self.name)
            # Keeps a cell text when a user edits it.
            text = book.add_format({"num_format": "@"})
            for place, width in enumerate(self.widths):
                sheet.set_column(place, place, width, text)
            for number, cells in enumerate(chain([self.columns], rows)):
                for place, cell in enumerate(cells):
                    sheet.write_string(number, place, neutral(cell), text)
            sheet.freeze_panes(1, 0)
