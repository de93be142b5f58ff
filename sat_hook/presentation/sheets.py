"""Tools for writing the sheets of a workbook: formats, columns, formulas with values, rows in order.

The workbook is in XlsxWriter's constant-memory mode: a row is gone once the next one has begun, so everything
here writes downwards. Titles, headings and cells of the kind ``word`` are translated when they are written.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import IO, Any, NamedTuple

from sat_hook.presentation.language import Language, Wording
from sat_hook.presentation.language import marked as _
from sat_hook.presentation.spreadsheet_csv import neutral

LONGEST_TEXT = 32_000
"""Characters; a cell holds 32,767, and the library drops a longer text completely."""
_PAPER_A4 = 9
_LETTERS_A_WIDTH, _LINE_HEIGHT, _MOST_LINES = 0.95, 13, 30
"""Letters for each unit of a column's width, points of a line, and lines of Excel's highest row."""
_DAYS = {Language.ENGLISH: "yyyy-mm-dd", Language.INDONESIAN: "dd/mm/yyyy"}


class Kind(StrEnum):
    """How a cell looks. A word is a text of ours and is translated; a move is a share with a sign."""

    TEXT = "text"
    WORD = "word"
    PROSE = "prose"
    COUNT = "count"
    RUPIAH = "rupiah"
    DAY = "day"
    MOMENT = "moment"
    SHARE = "share"
    MOVE = "move"


_FIGURES = frozenset({Kind.COUNT, Kind.RUPIAH, Kind.SHARE, Kind.MOVE})


class Formula(NamedTuple):
    """A formula and its value."""

    text: str
    value: int


Cell = str | int | Decimal | date | datetime | Formula | None


@dataclass(frozen=True, slots=True)
class Column:
    """A column's title, its width in characters and how its cells look."""

    title: str
    width: float
    kind: Kind


class Formats:
    """The language of a workbook, and its formats: a plain one and one for totals, for every kind."""

    def __init__(self, book: Any, wording: Wording) -> None:
        self.wording = wording
        day = _DAYS[wording.language]
        # A program shows the marks between thousands of the person's own settings.
        numbers = {
            # Keeps a long number text when a user edits it.
            Kind.TEXT: "@",
            Kind.COUNT: "#,##0",
            Kind.RUPIAH: "#,##0;[Red]-#,##0;0",
            Kind.DAY: day,
            Kind.MOMENT: f"{day} hh:mm:ss",
            Kind.SHARE: "0.00%",
            Kind.MOVE: "+0.0%;-0.0%;0.0%",
        }
        base = {"font_name": "Arial", "font_size": 10, "valign": "top"}
        self.plain: dict[Kind, Any] = {}
        self.total: dict[Kind, Any] = {}
        for kind in Kind:
            look: dict[str, Any] = dict(base)
            if kind in numbers:
                look["num_format"] = numbers[kind]
            # A day is aligned with its title, not with the far side of a wide column.
            is_number = kind in _FIGURES
            # Text keeps its distance from a figure on its left.
            look |= {"align": "right"} if is_number else {"align": "left", "indent": 1}
            look["text_wrap"] = kind is Kind.PROSE
            self.plain[kind] = book.add_format(look)
            self.total[kind] = book.add_format(look | {"bold": True, "bg_color": "#EEF3FA", "top": 1})
        self.title = book.add_format(base | {"bold": True, "font_size": 14})
        self.section = book.add_format(base | {"bold": True, "font_size": 11})
        self.label = book.add_format(base | {"bold": True, "align": "left", "indent": 1})
        self.note = book.add_format(base | {"italic": True, "font_color": "#595959"})
        header = base | {"bold": True, "bg_color": "#1F4E79", "font_color": "#FFFFFF", "text_wrap": True}
        header |= {"valign": "vcenter", "border": 1, "border_color": "#9DB4CC"}
        self.header = book.add_format(header | {"align": "left", "indent": 1})
        self.header_of_numbers = book.add_format(header | {"align": "right"})
        self.attention = book.add_format({"bg_color": "#FFE9B8", "font_color": "#5C3B00"})


class Sheet:
    """A sheet that is written from the top. ``row`` is the next row, from 0."""

    def __init__(self, book: Any, formats: Formats, name: str, widths: Sequence[float]) -> None:
        self.say = formats.wording.text
        self.name = self.say(name)
        self.formats = formats
        self.row = 0
        self._widths = widths
        self._kinds: Sequence[Kind] = ()
        self.inside: Any = book.add_worksheet(self.name)
        for place, width in enumerate(widths):
            self.inside.set_column(place, place, width)
        self.inside.hide_gridlines(2)
        self.inside.set_landscape()
        self.inside.set_paper(_PAPER_A4)
        self.inside.fit_to_pages(1, 0)
        page = self.say(_("Page"))
        self.inside.set_footer(f"&L&A&R{page} &P / &N")

    def title(self, text: str, note: str = "") -> None:
        """The title of the sheet, and a line of explanation."""
        self.inside.write_string(self.row, 0, neutral(self.say(text)), self.formats.title)
        self.row += 1
        if note:
            self.note(note)

    def note(self, text: str) -> None:
        """A line of explanation."""
        self.inside.write_string(self.row, 0, neutral(self.say(text)), self.formats.note)
        self.row += 1

    def section(self, text: str) -> None:
        """A heading inside the sheet, after a blank row."""
        self.row += 1
        self.inside.write_string(self.row, 0, self.say(text), self.formats.section)
        self.row += 1

    def header(self, columns: Sequence[Column]) -> None:
        """The titles of a table."""
        self._kinds = [column.kind for column in columns]
        for place, column in enumerate(columns):
            is_number = column.kind in _FIGURES
            look = self.formats.header_of_numbers if is_number else self.formats.header
            self.inside.write_string(self.row, place, self.say(column.title), look)
        self.inside.set_row(self.row, 30)
        self.row += 1

    def fact(self, label: str, cell: Cell, kind: Kind) -> None:
        """A row of a label and its value."""
        self.inside.write_string(self.row, 0, self.say(label), self.formats.label)
        self._write(1, cell, self.formats.plain[kind])
        self.row += 1

    def line(self, cells: Sequence[Cell], kinds: Sequence[Kind] = (), *, is_total: bool = False) -> None:
        """A row of a table, as high as its prose needs: not every program fits the height itself.

        :param kinds: how its cells look; by default as the columns of the last header.
        """
        kinds = kinds or self._kinds
        looks = self.formats.total if is_total else self.formats.plain
        lines = max(
            (
                -(-len(str(cell or "")) // int(width * _LETTERS_A_WIDTH))
                for cell, kind, width in zip(cells, kinds, self._widths, strict=False)
                if kind is Kind.PROSE
            ),
            default=1,
        )
        if lines > 1:
            self.inside.set_row(self.row, min(lines, _MOST_LINES) * _LINE_HEIGHT)
        for place, (cell, kind) in enumerate(zip(cells, kinds, strict=True)):
            is_word = kind is Kind.WORD and isinstance(cell, str)
            self._write(place, self.say(str(cell)) if is_word else cell, looks[kind])
        self.row += 1

    def print_on(self, pages: int, columns: int) -> None:
        """Print a wide table on several pages side by side, each with the first columns."""
        self.inside.fit_to_pages(pages, 0)
        self.inside.repeat_columns(0, columns - 1)

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
        elif isinstance(cell, int | Decimal):
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


def one_sheet(
    name: str, columns: Sequence[Column], rows: Iterable[Sequence[Cell]], wording: Wording
) -> bytes:
    """A workbook of one table, as XLSX. Amounts are numbers, days and moments are dates."""
    out = io.BytesIO()
    write_one_sheet(out, name, columns, rows, wording)
    return out.getvalue()


def write_one_sheet(
    out: IO[bytes],
    name: str,
    columns: Sequence[Column],
    rows: Iterable[Sequence[Cell]],
    wording: Wording,
    folder: str | None = None,
) -> None:
    """Write a workbook of one table.

    :param folder: where the rows wait, so that memory does not hold them; None keeps them in memory.
    """
    # Imported here: only requests for a workbook need the library.
    import xlsxwriter  # type: ignore[import-untyped]

    waiting = {"in_memory": True} if folder is None else {"constant_memory": True, "tmpdir": folder}
    with xlsxwriter.Workbook(out, waiting) as book:
        sheet = Sheet(book, Formats(book, wording), name, [column.width for column in columns])
        sheet.header(columns)
        sheet.freeze(1)
        for row in rows:
            sheet.line(row)
        sheet.inside.autofilter(0, 0, max(sheet.row - 1, 1), len(columns) - 1)
