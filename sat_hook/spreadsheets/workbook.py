"""Opens a workbook (XLSX) and reads its rows. Memory is bounded before anything is unpacked.

Sheets are streamed. A cell is given as the file has it, with its style: no size of a number, a cell, a row or
a sheet is trusted. A library that gives cells as Python values cannot serve here: a float no longer has the
digits of the file, and a value no longer shows whether it came from a formula or is shown as 8.1E+11.
"""

from __future__ import annotations

import io
import posixpath
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from xml.parsers import expat

from openpyxl.styles.numbers import BUILTIN_FORMATS, is_date_format
from openpyxl.utils.datetime import CALENDAR_MAC_1904, CALENDAR_WINDOWS_1900, from_excel

from sat_hook.spreadsheets.errors import WorkbookError, WorkbookLimitError, WorkbookTornError
from sat_hook.spreadsheets.workbook_xml import (
    MAXIMUM_DIGITS,
    CellReader,
    RawCell,
    SharedStrings,
    SheetFacts,
    SheetRows,
    fed,
    read_whole,
    small_number,
)

MAXIMUM_SHEETS = 200
MAXIMUM_SHEET_BYTES = 1024**3
MAXIMUM_STRINGS_BYTES = 256 * 1024**2
MAXIMUM_RATIO = 200
"""A part of a megabyte or more must not pack below a 200th of its size: ordinary sheets pack to a tenth."""
FREE_OF_RATIO_BYTES = 1024**2
_ROWS_OF_A_CHUNK = 10_000
UNREADABLE = "\x00unreadable"
"""Stands in a cell that refers to a text that is not there."""
_DATES_END = 2_958_466
"""The serial number of the day after 9999-12-31."""
# What the libraries raise for archives that are cut, torn or locked.
_TORN = (
    zipfile.BadZipFile,
    zlib.error,
    expat.ExpatError,
    ValueError,
    # A part is missing, or its XML names an unknown encoding.
    LookupError,
    NotImplementedError,
    RuntimeError,
    EOFError,
    OSError,
)


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet of a workbook, by its name and its part of the archive."""

    name: str
    part: str


NumberedRows = list[tuple[int, list[str]]]
"""Rows with cells, each with its number as a spreadsheet counts."""


@dataclass(slots=True)
class Workbook:
    """An open workbook: its sheets with rows, in order.

    :param formats: how each style shows a number, by its place.
    :raises WorkbookError: from every method, when the file is torn or larger than the limits.
    """

    archive: zipfile.ZipFile
    sheets: tuple[Sheet, ...] = ()
    strings: list[str] = field(default_factory=list)
    formats: tuple[str, ...] = ()
    date_styles: frozenset[int] = frozenset()
    is_1904: bool = False

    def chunks(
        self, sheet: Sheet, value_of: CellReader, facts: SheetFacts, rows_at_once: int = _ROWS_OF_A_CHUNK
    ) -> Iterator[NumberedRows]:
        """Yield the rows of a sheet that have cells, including the header. Notes go to ``facts``.

        :param value_of: reads a cell that has a value.
        :param rows_at_once: a chunk has about so many rows.
        """
        rows = SheetRows(value_of, facts)
        try:
            for _ in fed(self.archive, sheet.part, MAXIMUM_SHEET_BYTES, rows.handlers()):
                if len(rows.found) >= rows_at_once:
                    yield rows.taken()
        except WorkbookLimitError as error:
            raise WorkbookError(f"sheet {sheet.name!r}: {error}") from None
        except _TORN:
            raise WorkbookTornError from None
        yield rows.taken()

    def first_rows(self, sheet: Sheet, count: int, value_of: CellReader) -> list[list[str]]:
        """Return the first rows of a sheet that have cells."""
        rows: list[list[str]] = []
        for chunk in self.chunks(sheet, value_of, SheetFacts(), count):
            rows += (cells for _, cells in chunk)
            if len(rows) >= count:
                break
        return rows[:count]

    def shared_text(self, cell: RawCell) -> str:
        # A place; there is none before the first.
        text = cell.text
        place = int(text) if text.isascii() and text.isdigit() and len(text) < MAXIMUM_DIGITS else -1
        return self.strings[place] if 0 <= place < len(self.strings) else UNREADABLE

    def is_date(self, cell: RawCell) -> bool:
        """Whether the style of a cell shows a number as a date."""
        return _place(cell.style) in self.date_styles

    def format_of(self, cell: RawCell) -> str:
        """Return how the style of a cell shows a number."""
        place = _place(cell.style)
        return self.formats[place] if 0 <= place < len(self.formats) else "General"

    def date_text(self, number: Decimal) -> str | None:
        """Return the date that a serial number stands for; None beyond the year 9999.

        :raises ValueError: it stands for no date.
        """
        epoch = CALENDAR_MAC_1904 if self.is_1904 else CALENDAR_WINDOWS_1900
        return str(from_excel(float(number), epoch)) if 0 <= number < _DATES_END else None


def open_workbook(content: bytes, strings_bytes: int = MAXIMUM_STRINGS_BYTES) -> Workbook:
    """Open a workbook: check its sizes, then read everything except its sheets.

    :param strings_bytes: the most that the texts that its sheets share may unpack to.
    :raises WorkbookError: it is torn, locked, or unpacks to more than the limits.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        _refuse_bombs(archive, strings_bytes)
        return _described(Workbook(archive), strings_bytes)
    except WorkbookLimitError as error:
        raise WorkbookError(str(error)) from None
    except _TORN:
        # The libraries' messages may quote a cell, which may be customer data.
        raise WorkbookTornError from None


def _refuse_bombs(archive: zipfile.ZipFile, strings_bytes: int) -> None:
    for info in archive.infolist():
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise WorkbookLimitError(
                "found a part that is packed in an unusual way; expected an XLSX workbook"
            )
        is_strings = info.filename.endswith("sharedStrings.xml")
        limit = strings_bytes if is_strings else MAXIMUM_SHEET_BYTES
        is_dense = info.file_size > MAXIMUM_RATIO * max(info.compress_size, 1)
        if info.file_size > limit or (is_dense and info.file_size > FREE_OF_RATIO_BYTES):
            raise WorkbookLimitError(
                f"found a part of {info.compress_size:,} bytes that unpacks to {info.file_size:,}; expected "
                f"at most {limit:,}, and at most {MAXIMUM_RATIO} times its packed size"
            )


def _described(book: Workbook, strings_bytes: int) -> Workbook:
    parts = {info.filename.lstrip("/"): info.filename for info in book.archive.infolist()}
    read_whole(book.archive, parts["[Content_Types].xml"], lambda *_: None)
    (main,) = [part for kind, part in _relations(book, parts, "").values() if kind == "officeDocument"]
    targets = _relations(book, parts, main)
    sheets: list[Sheet] = []

    def described(name: str, attributes: dict[str, str]) -> None:
        if name == "workbookPr" and attributes.get("date1904") in ("1", "true"):
            book.is_1904 = True
        if name == "sheet":
            key = next((value for key, value in attributes.items() if key.rpartition(":")[2] == "id"), "")
            kind, part = targets.get(key, ("", ""))
            if kind == "worksheet" and part in parts:
                sheets.append(Sheet(attributes.get("name", ""), parts[part]))

    read_whole(book.archive, parts[main], described)
    if not sheets or len(sheets) > MAXIMUM_SHEETS:
        raise WorkbookLimitError(f"found {len(sheets)} sheets with rows; expected 1 to {MAXIMUM_SHEETS}")
    book.sheets = tuple(sheets)
    for kind, part in targets.values():
        if kind == "sharedStrings" and part in parts:
            strings = SharedStrings(book.strings)
            for _ in fed(book.archive, parts[part], strings_bytes, strings.handlers()):
                pass
        if kind == "styles" and part in parts:
            book.formats = _formats(book.archive, parts[part])
            book.date_styles = frozenset(
                place for place, code in enumerate(book.formats) if is_date_format(code)
            )
    return book


def _relations(book: Workbook, parts: dict[str, str], of: str) -> dict[str, tuple[str, str]]:
    """Return kind and part of a part's references, by key; of the whole archive without a part."""
    folder, base = posixpath.split(of)
    found: dict[str, tuple[str, str]] = {}

    def relation(name: str, attributes: dict[str, str]) -> None:
        if name == "Relationship":
            part = posixpath.normpath(posixpath.join("/", folder, attributes.get("Target", ""))).lstrip("/")
            found[attributes.get("Id", "")] = (attributes.get("Type", "").rpartition("/")[2], part)

    read_whole(book.archive, parts[posixpath.join(folder, "_rels", f"{base}.rels")], relation)
    return found


def _formats(archive: zipfile.ZipFile, part: str) -> tuple[str, ...]:
    """Return the number format of each cell style, by its place."""
    formats = dict(BUILTIN_FORMATS)
    found: list[int] = []
    is_cell_style = False

    def style(tag: str, attributes: dict[str, str]) -> None:
        nonlocal is_cell_style
        if tag == "numFmt":
            formats[small_number(attributes.get("numFmtId"))] = attributes.get("formatCode", "")[:255]
        elif tag in ("cellXfs", "cellStyleXfs", "cellStyles", "dxfs"):
            is_cell_style = tag == "cellXfs"
        elif tag == "xf" and is_cell_style:
            found.append(small_number(attributes.get("numFmtId")))

    read_whole(archive, part, style)
    return tuple(formats.get(code, "General") for code in found)


def _place(style: str) -> int:
    return int(style) if style.isdigit() and len(style) < MAXIMUM_DIGITS else -1
