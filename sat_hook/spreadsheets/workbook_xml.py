"""Parses the XML of a workbook's parts while it is unpacked: no part is in memory as a whole."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, NoReturn
from xml.parsers import expat

from sat_hook.spreadsheets.errors import WorkbookLimitError

MAXIMUM_STRINGS = 5_000_000
MAXIMUM_SHEET_ROWS = 1_048_576
MAXIMUM_COLUMNS = 1_000
MAXIMUM_CELL_CHARACTERS = 32_767
_READ_BYTES = 64 * 1024
_MAXIMUM_TOKEN_BYTES = 1024**2
MAXIMUM_PART_BYTES = 16 * 1024**2
"""The size limit of the parts that describe a workbook: sheets, relations, styles."""
MAXIMUM_DIGITS = 20
NO_VALUE = "\x00="
"""Stands in a cell whose formula has no value."""


@dataclass(slots=True)
class SheetFacts:
    """Notes made while a sheet was read."""

    formulas_without_value: int = 0
    error_cells: int = 0
    hidden_rows: int = 0


Handlers = tuple[
    Callable[[str, dict[str, str]], None], Callable[[str], None] | None, Callable[[str], None] | None
]


def read_whole(archive: zipfile.ZipFile, part: str, start: Callable[[str, dict[str, str]], None]) -> None:
    for _ in fed(archive, part, MAXIMUM_PART_BYTES, (start, None, None)):
        pass


def fed(archive: zipfile.ZipFile, part: str, limit: int, handlers: Handlers) -> Iterator[None]:
    """Feed a part to a parser in small pieces. The size that the archive claims is not trusted."""
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
                raise WorkbookLimitError(f"found a part that unpacks to over {limit:,} bytes; expected less")
            parser.Parse(data, False)
            if read - parser.CurrentByteIndex > _MAXIMUM_TOKEN_BYTES:
                raise WorkbookLimitError("found a tag that does not end; expected an XLSX workbook")
            yield
    parser.Parse(b"", True)
    yield


def _no_doctype(*_: object) -> NoReturn:
    raise WorkbookLimitError("found definitions of its own in the XML; expected an XLSX workbook")


class SharedStrings:
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
                raise WorkbookLimitError(f"found more than {MAXIMUM_STRINGS:,} texts; expected no more")
            self._found.append("".join(self._text)[: MAXIMUM_CELL_CHARACTERS + 1])

    def _characters(self, text: str) -> None:
        if self._reads:
            self._text.append(text)


CellReader = Callable[["RawCell", SheetFacts], str]
"""Gives the text of a cell; empty for a cell that counts as blank."""


class RawCell(NamedTuple):
    """A cell with a value, as the file has it.

    :param kind: the type of its value (``n`` for a number, ``s`` for a shared string).
    :param style: the place of its style.
    :param row: its row, as a spreadsheet counts; ``column`` counts from 1.
    """

    kind: str
    style: str
    text: str
    is_formula: bool
    row: int
    column: int


class SheetRows:
    """Collects the rows of a sheet, one at a time, without blank ones."""

    def __init__(self, value_of: CellReader, facts: SheetFacts) -> None:
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
        """Return the rows since the last call."""
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
                said = small_number(number)
                if said <= self._number:
                    raise WorkbookLimitError("found rows that are out of order; expected an XLSX workbook")
                self._number = said
            if self._number > MAXIMUM_SHEET_ROWS:
                raise WorkbookLimitError(f"found more rows than {MAXIMUM_SHEET_ROWS:,}; expected no more")
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
        text, kind = "".join(self._text), self._kind
        if not text:
            if not self._is_formula or kind == "str":
                return
            self._facts.formulas_without_value += 1
            text, kind = NO_VALUE, "n"
        cell = RawCell(kind, self._style, text, self._is_formula, self._number, self._place)
        text = self._value_of(cell, self._facts)
        if not text:
            return
        if self._place > MAXIMUM_COLUMNS:
            raise WorkbookLimitError(
                f"found a cell in column {self._place:,} of row {self._number:,}; expected at most "
                f"{MAXIMUM_COLUMNS:,} columns"
            )
        missing = self._place - len(self._row)
        if missing <= 0:
            raise WorkbookLimitError("found cells that are out of order; expected an XLSX workbook")
        self._row += [""] * (missing - 1)
        self._row.append(text)

    def _characters(self, text: str) -> None:
        if self._in_text and self._length <= MAXIMUM_CELL_CHARACTERS:
            self._text.append(text)
            self._length += len(text)


def _column(reference: str) -> int:
    """Return the column of a reference, for example ``AB12``, counted from 1."""
    place = 0
    for mark in reference[:4]:
        if not "A" <= mark <= "Z":
            break
        place = place * 26 + ord(mark) - 64
    return place


def small_number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < MAXIMUM_DIGITS else 0
