"""Reads the rows of a settlement workbook (XLSX). Memory is bounded before anything is unpacked.

Sheets are streamed. Numbers stay the text that the file has: no float touches money, and no size of a number,
a cell, a row or a sheet is trusted.
"""

from __future__ import annotations

import io
import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from xml.parsers import expat

from openpyxl.styles.numbers import BUILTIN_FORMATS, is_date_format
from openpyxl.utils.datetime import CALENDAR_MAC_1904, CALENDAR_WINDOWS_1900, from_excel

from sat_hook.reconciliation.errors import SettlementRefusedError
from sat_hook.reconciliation.settlement_csv import Chunk
from sat_hook.reconciliation.settlement_xml import (
    MAXIMUM_DIGITS,
    SharedStrings,
    SheetFacts,
    SheetRows,
    WorkbookLimitError,
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
_UNREADABLE = "\x00unreadable"
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,3})?")
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


@dataclass(slots=True)
class Workbook:
    """An open workbook: its sheets with rows, in order.

    :raises SettlementRefusedError: from every method, when the file is torn or larger than the limits.
    """

    name: str
    archive: zipfile.ZipFile
    sheets: tuple[Sheet, ...] = ()
    strings: list[str] = field(default_factory=list)
    date_styles: frozenset[int] = frozenset()
    is_1904: bool = False

    def chunks(self, sheet: Sheet, facts: SheetFacts) -> Iterator[Chunk]:
        """Yield the rows of a sheet that have cells, including the header. Notes go to ``facts``."""
        rows = SheetRows(self._value_of, facts)
        try:
            for _ in fed(self.archive, sheet.part, MAXIMUM_SHEET_BYTES, rows.handlers()):
                if len(rows.found) >= _ROWS_OF_A_CHUNK:
                    yield _chunk(rows.taken())
        except WorkbookLimitError as error:
            raise SettlementRefusedError(f"{self.name}, sheet {sheet.name!r}: {error}") from None
        except _TORN:
            raise _torn(self.name) from None
        yield _chunk(rows.taken())

    def first_rows(self, sheet: Sheet, count: int) -> list[list[str]]:
        """Return the first rows of a sheet that have cells."""
        rows: list[list[str]] = []
        for chunk in self.chunks(sheet, SheetFacts()):
            rows += chunk.rows
            if len(rows) >= count:
                break
        return rows[:count]

    def _value_of(self, kind: str, style: str, text: str, facts: SheetFacts) -> str:
        match kind:
            case "s":
                # A place; there is none before the first.
                place = int(text) if text.isascii() and text.isdigit() and len(text) < MAXIMUM_DIGITS else -1
                return self.strings[place] if 0 <= place < len(self.strings) else _UNREADABLE
            case "str" | "inlineStr" | "d":
                return text
            case "b":
                return {"1": "True", "0": "False"}.get(text, text)
            case "e":
                facts.error_cells += 1
                return ""
            case _:
                is_date = style.isdigit() and len(style) < MAXIMUM_DIGITS and int(style) in self.date_styles
                return _number(text, is_date, self.is_1904)


def open_workbook(content: bytes, name: str) -> Workbook:
    """Open a workbook: check its sizes, then read everything except its sheets.

    :raises SettlementRefusedError: it is torn, locked, or unpacks to more than the limits.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        _refuse_bombs(archive)
        return _described(Workbook(name, archive))
    except WorkbookLimitError as error:
        raise SettlementRefusedError(f"{name}: {error}") from None
    except _TORN:
        raise _torn(name) from None


def _torn(name: str) -> SettlementRefusedError:
    # The libraries' messages may quote a cell, which may be customer data.
    return SettlementRefusedError(
        f"{name}: found a workbook that is cut or damaged; expected a CSV or XLSX file: get it again"
    )


def _refuse_bombs(archive: zipfile.ZipFile) -> None:
    for info in archive.infolist():
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise WorkbookLimitError(
                "found a part that is packed in an unusual way; expected an XLSX workbook"
            )
        is_strings = info.filename.endswith("sharedStrings.xml")
        limit = MAXIMUM_STRINGS_BYTES if is_strings else MAXIMUM_SHEET_BYTES
        is_dense = info.file_size > MAXIMUM_RATIO * max(info.compress_size, 1)
        if info.file_size > limit or (is_dense and info.file_size > FREE_OF_RATIO_BYTES):
            raise WorkbookLimitError(
                f"found a part of {info.compress_size:,} bytes that unpacks to {info.file_size:,}; expected "
                f"at most {limit:,}, and at most {MAXIMUM_RATIO} times its packed size"
            )


def _described(book: Workbook) -> Workbook:
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
            for _ in fed(book.archive, parts[part], MAXIMUM_STRINGS_BYTES, strings.handlers()):
                pass
        if kind == "styles" and part in parts:
            book.date_styles = _date_styles(book.archive, parts[part])
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


def _date_styles(archive: zipfile.ZipFile, part: str) -> frozenset[int]:
    """Return the places of the styles that show a number as a date."""
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
    return frozenset(
        place for place, code in enumerate(found) if is_date_format(formats.get(code, "General"))
    )


def _number(text: str, is_date: bool, is_1904: bool) -> str:
    """Return a number in the form that amounts are read in: a whole number as digits. Any other number has an
    exponent, so that no mark of a mapping makes an amount of it."""
    if _NUMBER.fullmatch(text) is None:
        return text
    try:
        number = Decimal(text)
        if abs(number.adjusted()) > MAXIMUM_DIGITS:
            return text
        if is_date:
            epoch = CALENDAR_MAC_1904 if is_1904 else CALENDAR_WINDOWS_1900
            return str(from_excel(float(number), epoch)) if 0 <= number < _DATES_END else text
        return str(int(number)) if number == number.to_integral_value() else f"{number:E}"
    except (InvalidOperation, ValueError, OverflowError):
        return text


def _chunk(rows: list[tuple[int, list[str]]]) -> Chunk:
    return Chunk([number for number, _ in rows], [row for _, row in rows], {})
