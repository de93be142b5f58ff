"""Tools for writing the sheets of a workbook: formats, columns, formulas with values, rows in order.

The workbook is in XlsxWriter's constant-memory mode: a row is gone once the next one has begun, so everything
here writes downwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, NamedTuple

from sat_hook.presentation.spreadsheet_csv import neutral

LONGEST_TEXT = 32_000
"""Characters; a cell holds 32,767, and the library drops a longer text completely."""
_PAPER_A4 = 9


class Kind(StrEnum):
    """How a cell looks."""

    TEXT = "text"
    PROSE = "prose"
    COUNT = "count"
    RUPIAH = "rupiah"
    DAY = "day"
    MOMENT = "moment"


class Formula(NamedTuple):
    """A formula and its value."""

    text: str
    value: int


Cell = str | int | date | datetime | Formula | None


@dataclass(frozen=True, slots=True)
class Column:
    """A column's title, its width in characters and how its cells look."""

    title: str
    width: float
    kind: Kind


class Formats:
    """The formats of a workbook: a plain one and one for totals, for every kind."""

    _NUMBERS: dict[Kind, str] = {  # noqa: RUF012 - never changed
        Kind.COUNT: "#,##0",
        Kind.RUPIAH: "#,##0;[Red]-#,##0;0",
        Kind.DAY: "yyyy-mm-dd",
        Kind.MOMENT: "yyyy-mm-dd hh:mm:ss",
    }

    def __init__(self, book: Any) -> None:
        base = {"font_name": "Arial", "font_size": 10, "valign": "top"}
        self.plain: dict[Kind, Any] = {}
        self.total: dict[Kind, Any] = {}
        for kind in Kind:
            look: dict[str, Any] = dict(base)
            if kind in self._NUMBERS:
                look["num_format"] = self._NUMBERS[kind]
            # A day is aligned with its title, not with the far side of a wide column.
            look["align"] = "right" if kind in (Kind.COUNT, Kind.RUPIAH) else "left"
            look["text_wrap"] = kind is Kind.PROSE
            self.plain[kind] = book.add_format(look)
            self.total[kind] = book.add_format(look | {"bold": True, "bg_color": "#EEF3FA", "top": 1})
        self.title = book.add_format(base | {"bold": True, "font_size": 14})
        self.section = book.add_format(base | {"bold": True, "font_size": 11})
        self.label = book.add_format(base | {"bold": True})
        self.note = book.add_format(base | {"italic": True, "font_color": "#595959"})
        header = base | {"bold": True, "bg_color": "#1F4E79", "font_color": "#FFFFFF", "text_wrap": True}
        self.header = book.add_format(header | {"valign": "vcenter", "border": 1, "border_color": "#9DB4CC"})
        self.header_of_numbers = book.add_format(
            header | {"valign": "vcenter", "border": 1, "border_color": "#9DB4CC", "align": "right"}
        )
        self.attention = book.add_format({"bg_color": "#FFE9B8", "font_color": "#5C3B00"})


class Sheet:
    """A sheet that is written from the top. ``row`` is the next row, from 0."""

    def __init__(self, book: Any, formats: Formats, name: str, widths: Sequence[float]) -> None:
        self.name = name
        self.formats = formats
        self.row = 0
        self.inside: Any = book.add_worksheet(name)
        for place, width in enumerate(widths):
            self.inside.set_column(place, place, width)
        self.inside.hide_gridlines(2)
        self.inside.set_landscape()
        self.inside.set_paper(_PAPER_A4)
        self.inside.fit_to_pages(1, 0)
        self.inside.set_footer("&L&A&RPage &P of &N")

    def title(self, text: str, note: str = "") -> None:
        """The title of the sheet, and a line of explanation."""
        self.inside.write_string(self.row, 0, neutral(text), self.formats.title)
        self.row += 1
        if note:
            self.note(note)

    def note(self, text: str) -> None:
        """A line of explanation."""
        self.inside.write_string(self.row, 0, neutral(text), self.formats.note)
        self.row += 1

    def section(self, text: str) -> None:
        """A heading inside the sheet, after a blank row."""
        self.row += 1
        self.inside.write_string(self.row, 0, text, self.formats.section)
        self.row += 1

    def header(self, columns: Sequence[Column]) -> None:
        """The titles of a table."""
        for place, column in enumerate(columns):
            is_number = column.kind in (Kind.COUNT, Kind.RUPIAH)
            look = self.formats.header_of_numbers if is_number else self.formats.header
            self.inside.write_string(self.row, place, column.title, look)
        self.inside.set_row(self.row, 30)
        self.row += 1

    def fact(self, label: str, cell: Cell, kind: Kind) -> None:
        """A row of a label and its value."""
        self.inside.write_string(self.row, 0, label, self.formats.label)
        self._write(1, cell, self.formats.plain[kind])
        self.row += 1

    def line(self, cells: Sequence[Cell], kinds: Sequence[Kind], *, is_total: bool = False) -> None:
        """A row of a table."""
        looks = self.formats.total if is_total else self.formats.plain
        for place, (cell, kind) in enumerate(zip(cells, kinds, strict=True)):
            self._write(place, cell, looks[kind])
        self.row += 1

    def freeze(self, rows: int, columns: int = 0) -> None:
        """Keep the first rows and columns in sight, and on every printed page."""
        self.inside.freeze_panes(rows, columns)
        self.inside.repeat_rows(0, rows - 1)

    def _write(self, place: int, cell: Cell, look: Any) -> None:
        if cell is None or cell == "":
            self.inside.write_blank(self.row, place, None, look)
        elif isinstance(cell, Formula):
            self.inside.write_formula(self.row, place, cell.text, look, cell.value)
        elif isinstance(cell, str):
            self.inside.write_string(self.row, place, neutral(cell)[:LONGEST_TEXT], look)
        elif isinstance(cell, int):
            self.inside.write_number(self.row, place, cell, look)
        else:
            self.inside.write_datetime(self.row, place, cell, look)


def letter(column: int) -> str:
    """The letter of a column, from 0: A, …, Z, AA, …"""
    text = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        text = chr(ord("A") + rest) + text
    return text


def reference(sheet: str, column: int, first_row: int, last_row: int) -> str:
    """A fixed range in a column, rows from 0: ``'saldo waterfall'!$B$4:$B$9``."""
    name = sheet if sheet.isalnum() else f"'{sheet}'"
    return f"{name}!${letter(column)}${first_row + 1}:${letter(column)}${max(first_row, last_row) + 1}"
