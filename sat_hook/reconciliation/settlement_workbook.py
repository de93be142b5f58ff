"""The rows of a settlement workbook (XLSX), bounded in memory before anything is unpacked.

Sheets are streamed. Numbers stay the text that the file has: no float touches money, and no size of a number,
a cell, a row or a sheet is trusted.
"""

from __future__ import annotations

import io
import posixpath
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import NoReturn
from xml.parsers import expat

from openpyxl.styles.numbers import BUILTIN_FORMATS, is_date_format
from openpyxl.utils.datetime import CALENDAR_MAC_1904, CALENDAR_WINDOWS_1900, from_excel

from sat_hook.reconciliation.settlement_cells import NO_VALUE
from sat_hook.reconciliation.settlement_csv import Chunk
from sat_hook.reconciliation.trouble import SettlementRefusedError

MAXIMUM_SHEETS = 200
MAXIMUM_SHEET_BYTES = 1024**3
MAXIMUM_STRINGS = 5_000_000
MAXIMUM_STRINGS_BYTES = 256 * 1024**2
MAXIMUM_PART_BYTES = 16 * 1024**2
"""Of what describes a workbook: its sheets, relations, styles."""
MAXIMUM_RATIO = 200
"""A part of a megabyte or more is not smaller than a 200th of itself, packed: honest sheets are a tenth."""
FREE_OF_RATIO_BYTES = 1024**2
MAXIMUM_SHEET_ROWS = 1_048_576
MAXIMUM_COLUMNS = 1_000
MAXIMUM_CELL_CHARACTERS = 32_767
MAXIMUM_DIGITS = 20
_READ_BYTES = 64 * 1024
_MAXIMUM_TOKEN_BYTES = 1024**2
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
    KeyError,
    NotImplementedError,
    RuntimeError,
    EOFError,
    OSError,
)


@dataclass(slots=True)
class SheetFacts:
    """What was noticed while a sheet was read."""

    formulas_without_value: int = 0
    error_cells: int = 0
    hidden_rows: int = 0


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet of a workbook, by its name and its part of the archive."""

    name: str
    part: str


@dataclass(slots=True)
class Workbook:
    """A workbook that was opened: its sheets with rows, in order.

    :raises SettlementRefusedError: from every method, when the file is torn or larger than the limits.
    """

    name: str
    archive: zipfile.ZipFile
    sheets: tuple[Sheet, ...] = ()
    strings: list[str] = field(default_factory=list)
    date_styles: frozenset[int] = frozenset()
    is_1904: bool = False

    def chunks(self, sheet: Sheet, facts: SheetFacts) -> Iterator[Chunk]:
        """The rows of a sheet that have cells, the header included; what is noticed goes to ``facts``."""
        rows = _SheetRows(self._value_of, facts)
        try:
            for _ in _fed(self.archive, sheet.part, MAXIMUM_SHEET_BYTES, rows.handlers()):
                if len(rows.found) >= _ROWS_OF_A_CHUNK:
                    yield _chunk(rows.taken())
        except _TooLargeError as error:
            raise SettlementRefusedError(f"{self.name}, sheet {sheet.name!r}: {error}") from None
        except _TORN:
            raise _torn(self.name) from None
        yield _chunk(rows.taken())

    def first_rows(self, sheet: Sheet, count: int) -> list[list[str]]:
        """The first rows of a sheet that have cells."""
        rows: list[list[str]] = []
        for chunk in self.chunks(sheet, SheetFacts()):
            rows += chunk.rows
            if len(rows) >= count:
                break
        return rows[:count]

    def _value_of(self, kind: str, style: str, text: str, facts: SheetFacts) -> str:
        match kind:
            case "s":
                # A place, and none before the first.
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
    """Open a workbook: everything but its sheets is read, after its sizes were looked at.

    :raises SettlementRefusedError: when it is torn, locked, or unpacks to more than the limits.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        _refuse_bombs(archive)
        return _described(Workbook(name, archive))
    except _TooLargeError as error:
        raise SettlementRefusedError(f"{name}: {error}") from None
    except _TORN:
        raise _torn(name) from None


class _TooLargeError(Exception):
    """A limit would be passed; the text says found and expected."""


def _torn(name: str) -> SettlementRefusedError:
    # The libraries' own words may quote a cell, which may be a customer's.
    return SettlementRefusedError(
        f"{name}: found a workbook that is cut or damaged; expected a CSV or XLSX file: get it again"
    )


def _refuse_bombs(archive: zipfile.ZipFile) -> None:
    for info in archive.infolist():
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _TooLargeError("found a part that is packed in an unusual way; expected an XLSX workbook")
        is_strings = info.filename.endswith("sharedStrings.xml")
        limit = MAXIMUM_STRINGS_BYTES if is_strings else MAXIMUM_SHEET_BYTES
        is_dense = info.file_size > MAXIMUM_RATIO * max(info.compress_size, 1)
        if info.file_size > limit or (is_dense and info.file_size > FREE_OF_RATIO_BYTES):
            raise _TooLargeError(
                f"found a part of {info.compress_size:,} bytes that unpacks to {info.file_size:,}; expected "
                f"at most {limit:,}, and at most {MAXIMUM_RATIO} times its packed size"
            )


def _described(book: Workbook) -> Workbook:
    parts = {info.filename.lstrip("/"): info.filename for info in book.archive.infolist()}
    _read_whole(book.archive, parts["[Content_Types].xml"], lambda *_: None)
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

    _read_whole(book.archive, parts[main], described)
    if not sheets or len(sheets) > MAXIMUM_SHEETS:
        raise _TooLargeError(f"found {len(sheets)} sheets with rows; expected 1 to {MAXIMUM_SHEETS}")
    book.sheets = tuple(sheets)
    for kind, part in targets.values():
        if kind == "sharedStrings" and part in parts:
            strings = _Strings(book.strings)
            for _ in _fed(book.archive, parts[part], MAXIMUM_STRINGS_BYTES, strings.handlers()):
                pass
        if kind == "styles" and part in parts:
            book.date_styles = _date_styles(book.archive, parts[part])
    return book


def _relations(book: Workbook, parts: dict[str, str], of: str) -> dict[str, tuple[str, str]]:
    """Kind and part of what a part refers to, by key; of the whole archive without a part."""
    folder, base = posixpath.split(of)
    found: dict[str, tuple[str, str]] = {}

    def relation(name: str, attributes: dict[str, str]) -> None:
        if name == "Relationship":
            part = posixpath.normpath(posixpath.join("/", folder, attributes.get("Target", ""))).lstrip("/")
            found[attributes.get("Id", "")] = (attributes.get("Type", "").rpartition("/")[2], part)

    _read_whole(book.archive, parts[posixpath.join(folder, "_rels", f"{base}.rels")], relation)
    return found


def _date_styles(archive: zipfile.ZipFile, part: str) -> frozenset[int]:
    """The places of the styles that show a number as a date."""
    formats = dict(BUILTIN_FORMATS)
    found: list[int] = []
    is_cell_style = False

    def style(tag: str, attributes: dict[str, str]) -> None:
        nonlocal is_cell_style
        if tag == "numFmt":
            formats[_small(attributes.get("numFmtId"))] = attributes.get("formatCode", "")[:255]
        elif tag in ("cellXfs", "cellStyleXfs", "cellStyles", "dxfs"):
            is_cell_style = tag == "cellXfs"
        elif tag == "xf" and is_cell_style:
            found.append(_small(attributes.get("numFmtId")))

    _read_whole(archive, part, style)
    return frozenset(
        place for place, code in enumerate(found) if is_date_format(formats.get(code, "General"))
    )


def _small(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < MAXIMUM_DIGITS else 0


def _number(text: str, is_date: bool, is_1904: bool) -> str:
    """A number as amounts are read: whole ones as digits. What is not whole has an exponent, so that no mark
    of a mapping makes an amount of it."""
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


Handlers = tuple[
    Callable[[str, dict[str, str]], None], Callable[[str], None] | None, Callable[[str], None] | None
]


def _read_whole(archive: zipfile.ZipFile, part: str, start: Callable[[str, dict[str, str]], None]) -> None:
    for _ in _fed(archive, part, MAXIMUM_PART_BYTES, (start, None, None)):
        pass


def _fed(archive: zipfile.ZipFile, part: str, limit: int, handlers: Handlers) -> Iterator[None]:
    """Feed a part to a parser, some bytes at a time; the size that the archive claims is not believed."""
    parser = expat.ParserCreate()
    parser.buffer_text = True
    start, end, text = handlers
    parser.StartElementHandler = lambda tag, attributes: start(tag.rpartition(":")[2], attributes)
    if end is not None:
        parser.EndElementHandler = lambda tag: end(tag.rpartition(":")[2])
    if text is not None:
        parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = _no_doctype
    read = 0
    with archive.open(part) as file:
        while data := file.read(_READ_BYTES):
            read += len(data)
            if read > limit:
                raise _TooLargeError(f"found a part that unpacks to over {limit:,} bytes; expected less")
            parser.Parse(data, False)
            if read - parser.CurrentByteIndex > _MAXIMUM_TOKEN_BYTES:
                raise _TooLargeError("found a tag that does not end; expected an XLSX workbook")
            yield
    parser.Parse(b"", True)
    yield


def _no_doctype(*_: object) -> NoReturn:
    raise _TooLargeError("found definitions of its own in the XML; expected an XLSX workbook")


class _Strings:
    """Collects the shared strings of a workbook."""

    def __init__(self, found: list[str]) -> None:
        self._found = found
        self._text: list[str] = []
        self._reads, self._is_phonetic = False, False

    def handlers(self) -> Handlers:
        return self._start, self._end, self._characters

    def _start(self, tag: str, _: dict[str, str]) -> None:
        if tag == "si":
            self._text = []
        elif tag == "rPh":
            self._is_phonetic = True
        elif tag == "t":
            self._reads = not self._is_phonetic

    def _end(self, tag: str) -> None:
        if tag == "t":
            self._reads = False
        elif tag == "rPh":
            self._is_phonetic = False
        elif tag == "si":
            if len(self._found) >= MAXIMUM_STRINGS:
                raise _TooLargeError(f"found more than {MAXIMUM_STRINGS:,} texts; expected no more")
            self._found.append("".join(self._text)[: MAXIMUM_CELL_CHARACTERS + 1])

    def _characters(self, text: str) -> None:
        if self._reads:
            self._text.append(text)


class _SheetRows:
    """Collects the rows of a sheet, one at a time; blank ones are none."""

    def __init__(self, value_of: Callable[[str, str, str, SheetFacts], str], facts: SheetFacts) -> None:
        self.found: list[tuple[int, list[str]]] = []
        self._value_of, self._facts = value_of, facts
        self._row, self._number, self._place = list[str](), 0, 0
        self._kind, self._style = "", ""
        self._text: list[str] = []
        self._length = 0
        self._in_cell, self._in_text, self._is_phonetic, self._is_formula = False, False, False, False

    def handlers(self) -> Handlers:
        return self._start, self._end, self._characters

    def taken(self) -> list[tuple[int, list[str]]]:
        """The rows since the last time."""
        rows, self.found = self.found, []
        return rows

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "c":
            reference = attributes.get("r")
            self._place = self._place + 1 if reference is None else _column(reference)
            self._kind, self._style = attributes.get("t", "n"), attributes.get("s", "")
            self._text, self._length = [], 0
            self._in_cell, self._is_formula = True, False
        elif tag == "row":
            number = attributes.get("r")
            if number is None:
                self._number += 1
            else:
                said = _small(number)
                if said <= self._number:
                    raise _TooLargeError("found rows that are out of order; expected an XLSX workbook")
                self._number = said
            if self._number > MAXIMUM_SHEET_ROWS:
                raise _TooLargeError(f"found more rows than {MAXIMUM_SHEET_ROWS:,}; expected no more")
            if attributes.get("hidden") in ("1", "true"):
                self._facts.hidden_rows += 1
            self._row, self._place = [], 0
        elif self._in_cell:
            if tag in ("v", "t"):
                self._in_text = not self._is_phonetic
            elif tag == "f":
                self._is_formula = True
            elif tag == "rPh":
                self._is_phonetic = True

    def _end(self, tag: str) -> None:
        if tag in ("v", "t"):
            self._in_text = False
        elif tag == "rPh":
            self._is_phonetic = False
        elif tag == "c":
            self._in_cell = False
            self._keep()
        elif tag == "row" and self._row:
            self.found.append((self._number, self._row))
            self._row = []

    def _keep(self) -> None:
        text = "".join(self._text)
        if not text:
            if not self._is_formula or self._kind == "str":
                return
            self._facts.formulas_without_value += 1
            text = NO_VALUE
        else:
            text = self._value_of(self._kind, self._style, text, self._facts)
            if not text:
                return
        if self._place > MAXIMUM_COLUMNS:
            raise _TooLargeError(
                f"found a cell in column {self._place:,} of row {self._number:,}; expected at most "
                f"{MAXIMUM_COLUMNS:,} columns"
            )
        missing = self._place - len(self._row)
        if missing <= 0:
            raise _TooLargeError("found cells that are out of order; expected an XLSX workbook")
        self._row += [""] * (missing - 1)
        self._row.append(text)

    def _characters(self, text: str) -> None:
        if self._in_text and self._length <= MAXIMUM_CELL_CHARACTERS:
            self._text.append(text)
            self._length += len(text)


def _column(reference: str) -> int:
    """The column of a reference such as ``AB12``, counted from 1."""
    place = 0
    for mark in reference[:4]:
        if not "A" <= mark <= "Z":
            break
        place = place * 26 + ord(mark) - 64
    return place


def _chunk(rows: list[tuple[int, list[str]]]) -> Chunk:
    return Chunk([number for number, _ in rows], [row for _, row in rows], {})
