"""Reads a workbook (XLSX) of orders as text, cell by cell, as the spreadsheet shows it.

A number stays the digits that the workbook has. A cell whose value cannot be taken for what a person meant
keeps its kind, and :mod:`~sat_hook.pipeline.cell_marks` refuses it where it matters.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

from openpyxl.utils import get_column_letter

from sat_hook.pipeline.cell_marks import DATE, LOGICAL, NO_FORMULA_VALUE, NUMBER, ROUNDED, TEXT
from sat_hook.pipeline.cell_marks import UNREADABLE as UNREADABLE_KIND
from sat_hook.pipeline.errors import OrderFileError
from sat_hook.pipeline.limits import FileLimits
from sat_hook.pipeline.order_columns import REQUIRED, column_of
from sat_hook.pipeline.order_sheet import OrderSheet, SheetFacts, SheetFormat, SheetRow
from sat_hook.presentation.spreadsheet_cells import one_line
from sat_hook.spreadsheets import workbook_xml
from sat_hook.spreadsheets.errors import WorkbookError, WorkbookTornError
from sat_hook.spreadsheets.workbook import UNREADABLE, Sheet, Workbook, open_workbook
from sat_hook.spreadsheets.workbook_xml import NO_VALUE, RawCell

MAXIMUM_STRINGS_BYTES = 64 * 1024**2
ROWS_TO_FIND_A_HEADER = 20
KEPT_DIGITS = 15
"""The digits of a number that every spreadsheet keeps."""
SHOWN_DIGITS = 11
"""The digits that a spreadsheet shows of a whole number without a format; a longer one becomes 1.2E+11."""
LISTED_FORMULAS = 5
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,3})?")
_ZEROS = re.compile("0{2,20}")

_OLD = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_ZIP = b"PK\x03\x04"
_OTHER_ARCHIVES = (
    (b"application/vnd.oasis.opendocument", "an OpenDocument file"),
    (b"xl/workbook.bin", "a binary workbook (XLSB)"),
    (b"word/document.xml", "a text document (DOCX)"),
    (b"ppt/presentation.xml", "a presentation (PPTX)"),
)
_SAVE_AS = "expected CSV or XLSX - open it in a spreadsheet and save it as 'Excel workbook (.xlsx)'"


def is_workbook(content: bytes) -> bool:
    """Whether the bytes are a workbook of any kind, or another archive."""
    return content.startswith((_ZIP, _OLD))


def read_workbook(
    content: bytes, file_name: str, limits: FileLimits, sheet_name: str | None = None
) -> OrderSheet:
    """Read the sheet of a workbook that has orders.

    That is the first sheet with a header that is known, or the first with rows.

    :param sheet_name: the sheet to read instead.
    :raises OrderFileError: it is locked, old, damaged, of another kind, larger than the limits, or has no
        such sheet.
    """
    _refuse_others(content, file_name)
    try:
        book = open_workbook(content, MAXIMUM_STRINGS_BYTES)
        reading = _Reading(book, file_name, limits)
        sheet, header_row = reading.choose(sheet_name)
        return reading.read(sheet, header_row)
    except WorkbookTornError:
        raise OrderFileError(
            "workbook_damaged",
            f"{file_name}: found a workbook that is cut or damaged; expected a whole one - save it again, or "
            "send it again",
        ) from None
    except WorkbookError as error:
        raise OrderFileError("workbook_limit", f"{file_name}: {error}") from None


def _refuse_others(content: bytes, file_name: str) -> None:
    if content.startswith(_OLD):
        if _ENCRYPTED in content:
            raise OrderFileError(
                "workbook_locked",
                f"{file_name}: found a workbook that is locked with a password; expected one without - open "
                "it, remove the password and save it again",
            )
        raise OrderFileError("workbook_old", f"{file_name}: found an old workbook (.xls); {_SAVE_AS}")
    # The names of an archive's parts are at its begin and at its end.
    ends = content[:4096] + content[-64 * 1024 :]
    for name, what in _OTHER_ARCHIVES:
        if name in ends:
            raise OrderFileError("workbook_other", f"{file_name}: found {what}; {_SAVE_AS}")
    if b"xl/" not in content and b"[Content_Types].xml" not in content:
        raise OrderFileError(
            "workbook_other", f"{file_name}: found an archive that is no workbook; expected CSV or XLSX"
        )


class _Reading:
    def __init__(self, book: Workbook, file_name: str, limits: FileLimits) -> None:
        self._book, self._file_name, self._limits = book, file_name, limits
        self._kinds: dict[int, dict[int, str]] = {}
        self._formulas: list[str] = []
        self._formula_cells = 0

    def choose(self, sheet_name: str | None) -> tuple[Sheet, int]:
        """The sheet to read, and the row of its header."""
        sheets = [sheet for sheet in self._book.sheets if sheet_name in (None, sheet.name)]
        if not sheets:
            named = ", ".join(repr(one_line(sheet.name)) for sheet in self._book.sheets[:10])
            raise OrderFileError(
                "no_such_sheet",
                f"{self._file_name}: found the sheets {named}; expected {sheet_name!r}",
                found=named,
                sheet=sheet_name or "",
            )
        with_rows: list[tuple[Sheet, int]] = []
        for sheet in sheets:
            rows = self._first_rows(sheet)
            known = [(row, self._known_columns(cells)) for row, cells in rows]
            best = max(known, key=lambda item: item[1], default=(0, 0))
            if best[1] >= len(REQUIRED) - 1:
                return sheet, best[0]
            with_rows += [(sheet, rows[0][0])] if rows else []
        if not with_rows:
            raise OrderFileError(
                "empty", f"{self._file_name}: found no rows; expected a header and at least one row"
            )
        return with_rows[0]

    def _first_rows(self, sheet: Sheet) -> list[tuple[int, list[str]]]:
        found: list[tuple[int, list[str]]] = []
        facts = workbook_xml.SheetFacts()
        for chunk in self._book.chunks(sheet, self._value_of, facts, ROWS_TO_FIND_A_HEADER):
            found += (row for row in chunk if any(cell.strip() for cell in row[1]))
            if len(found) >= ROWS_TO_FIND_A_HEADER:
                break
        return found[:ROWS_TO_FIND_A_HEADER]

    def _known_columns(self, cells: list[str]) -> int:
        found = set()
        for cell in cells[: self._limits.columns]:
            try:
                found.add(column_of(cell, "", self._limits))
            except OrderFileError:
                continue
        return len(found & set(REQUIRED))

    def read(self, sheet: Sheet, header_row: int) -> OrderSheet:
        self._kinds, self._formulas, self._formula_cells = {}, [], 0
        facts = workbook_xml.SheetFacts()
        header: tuple[str, ...] = ()
        rows: list[SheetRow] = []
        skipped = 0
        for chunk in self._book.chunks(sheet, self._value_of, facts):
            for number, cells in chunk:
                kinds = self._kinds.pop(number, None)
                if number < header_row:
                    skipped += 1
                elif number == header_row:
                    header = _without_blank_end(cells)
                elif any(cell.strip() for cell in cells):
                    rows.append(SheetRow(number, tuple(cells), _letters(kinds, len(cells))))
            if len(rows) > self._limits.rows:
                raise OrderFileError(
                    "too_many_rows",
                    f"{self._file_name}: found more than {self._limits.rows:,} rows; expected at most that "
                    "many",
                    most=self._limits.rows,
                )
        return OrderSheet(
            SheetFacts(
                SheetFormat.XLSX,
                sheet=sheet.name,
                other_sheets=tuple(one.name for one in self._book.sheets if one != sheet),
                skipped_rows=skipped,
                formula_cells=self._formula_cells,
                first_formulas=tuple(self._formulas),
                hidden_rows=facts.hidden_rows,
            ),
            header_row,
            header,
            rows,
        )

    def _value_of(self, cell: RawCell, _: workbook_xml.SheetFacts) -> str:
        if cell.is_formula:
            self._formula_cells += 1
            if len(self._formulas) < LISTED_FORMULAS:
                self._formulas.append(f"{get_column_letter(cell.column)}{cell.row}")
        kind, text = self._read(cell)
        if kind != TEXT:
            self._kinds.setdefault(cell.row, {})[cell.column - 1] = kind
        return text

    def _read(self, cell: RawCell) -> tuple[str, str]:
        """The kind of a cell, and its text."""
        match cell.kind:
            case "s":
                text = self._book.shared_text(cell)
                return (UNREADABLE_KIND, "?") if text == UNREADABLE else (TEXT, text)
            case "str" | "inlineStr" | "e":
                return TEXT, cell.text
            case "d":
                return DATE, cell.text
            case "b":
                return LOGICAL, {"1": "TRUE", "0": "FALSE"}.get(cell.text, cell.text)
            case _:
                return (NO_FORMULA_VALUE, "?") if cell.text == NO_VALUE else self._read_number(cell)

    def _read_number(self, cell: RawCell) -> tuple[str, str]:
        if _NUMBER.fullmatch(cell.text) is None:
            return ROUNDED, cell.text
        try:
            number = Decimal(cell.text)
            if self._book.is_date(cell):
                return DATE, self._book.date_text(number) or cell.text
        except (InvalidOperation, ValueError, OverflowError):
            return ROUNDED, cell.text
        shown_as = self._book.format_of(cell)
        digits, size = len(number.normalize().as_tuple().digits), number.adjusted()
        is_whole = size <= workbook_xml.MAXIMUM_DIGITS and number == number.to_integral_value()
        if not is_whole:
            return (ROUNDED if digits > KEPT_DIGITS or "E" in cell.text.upper() else NUMBER), cell.text
        text = str(int(number))
        if digits > KEPT_DIGITS or size >= KEPT_DIGITS:
            return ROUNDED, text
        if "E+" in shown_as or "E-" in shown_as or (shown_as == "General" and size >= SHOWN_DIGITS):
            return ROUNDED, f"{number:.5E}"
        if _ZEROS.fullmatch(shown_as) and number >= 0:
            # Shown with its zeros, which is what its owner sees.
            return TEXT, text.zfill(len(shown_as))
        return NUMBER, text


def _letters(kinds: dict[int, str] | None, width: int) -> str:
    return "" if not kinds else "".join(kinds.get(place, TEXT) for place in range(width))


def _without_blank_end(cells: list[str]) -> tuple[str, ...]:
    while cells and not cells[-1].strip():
        cells = cells[:-1]
    return tuple(cells)
