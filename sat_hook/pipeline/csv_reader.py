"""Read the cells of a submitted CSV file as people and Excel really write them, without interpreting them.

The encoding is detected without a guess that could change what is sent. A byte order mark decides. Without
one the file is UTF-8, or Windows-1252 when none of its characters is UTF-8. A file that is UTF-8 except for
some bytes, or that ends in the middle of a character, is refused with the place: in another encoding it would
read as text that its writer did not mean.

Rows are numbered as a spreadsheet shows them: the header is row 1, blank lines count, a ``sep=`` line does
not.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, TextIO

from sat_hook.pipeline.errors import OrderFileError

SINGLE_BYTE = "cp1252"

# UTF-32 first: its byte order mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
_OTHER_FORMATS = (
    (b"PK\x03\x04", "a spreadsheet workbook"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old or encrypted spreadsheet workbook"),
    (b"%PDF-", "a PDF"),
    (b"{\\rtf", "a text document"),
    (b"\x1f\x8b", "a compressed file"),
    (b"<", "a web page or XML"),
)
_MULTIBYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_NAMES = {"utf-8": "UTF-8", "utf-8-sig": "UTF-8", "utf-16": "UTF-16", "utf-32": "UTF-32"}
_CUT = "expected a whole file - it was cut off on its way; export it or send it again"
_SAVE_AGAIN = "expected one encoding throughout - save it again as 'CSV UTF-8'"


def encoding_of(content: bytes, file_name: str) -> str:
    """The name of the codec that reads ``content`` without an error.

    :raises OrderFileError: for another kind of file, or mixed encodings, with row, column and offset.
    """
    start = content[:64].lstrip()
    for magic, what in _OTHER_FORMATS:
        if start.startswith(magic):
            raise OrderFileError(
                "not_csv", f"{file_name}: found {what}; expected CSV (use 'save as … CSV UTF-8')"
            )
    for mark, name in _MARKS:
        if content.startswith(mark):
            return _checked(content, name, file_name)
    if 0 in content[:2]:
        raise OrderFileError(
            "not_csv",
            f"{file_name}: found UTF-16 without a byte order mark; expected text - save it as 'CSV UTF-8'",
        )
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        if _MULTIBYTE.search(content) or error.reason == "unexpected end of data":
            raise _undecodable(content, error, "utf-8", file_name) from None
        return _checked(content, SINGLE_BYTE, file_name)
    return "utf-8"


def _checked(content: bytes, encoding: str, file_name: str) -> str:
    try:
        content.decode(encoding)
    except UnicodeDecodeError as error:
        raise _undecodable(content, error, encoding, file_name) from None
    return encoding


def _undecodable(content: bytes, error: UnicodeDecodeError, encoding: str, file_name: str) -> OrderFileError:
    # With a byte order mark the codec counts from after the mark.
    start = error.start + len(content) - len(error.object)
    before = content[:start].decode(encoding, "ignore").lstrip("\ufeff")
    where = f"{file_name} {place_behind(before)}"
    if error.reason in ("unexpected end of data", "truncated data"):
        return OrderFileError(
            "not_csv",
            f"{where}: found the end of the file in the middle of a character (byte {start + 1:,}); {_CUT}",
        )
    byte = f"byte 0x{content[start]:02X} (byte {start + 1:,} of the file)"
    if encoding == SINGLE_BYTE:
        found = f"{byte}, which is neither UTF-8 nor Windows-1252"
    else:
        found = f"{byte}, which is no {_NAMES[encoding]}, though the rest of the file is"
        more = content[start:].decode(encoding, "replace").count("\ufffd") - 1
        found += f" ({more} more like it)" if more > 0 else ""
    return OrderFileError("not_csv", f"{where}: found {found}; {_SAVE_AGAIN}")


DELIMITERS = (",", ";", "\t", "|")
MAXIMUM_HEADER_CHARACTERS = 64 * 1024

_SEPARATOR_LINE = re.compile(r'\ufeff?"?sep=(.?)"?[,;|\s]*', re.IGNORECASE)
_QUOTED = re.compile(r'"[^"]*"')


@dataclass(frozen=True, slots=True)
class Dialect:
    """The separator of a file, and the number of lines before its first row (a ``sep=`` line)."""

    delimiter: str
    lines_before: int


def dialect_of(text: TextIO, file_name: str) -> Dialect:
    """Read to the first line with a cell and find the separator; ``text`` is then back at its start.

    A line ``sep=;`` names it. Excel writes that line and hides it, so it is not a row of the file. Otherwise
    the separator is the one that splits the header into the most cells, or a comma when none does.

    :raises OrderFileError: for a ``sep=`` line with a separator that is not allowed.
    """
    first = line = text.readline(MAXIMUM_HEADER_CHARACTERS)
    named = _SEPARATOR_LINE.fullmatch(first)
    if named is not None:
        line = text.readline(MAXIMUM_HEADER_CHARACTERS)
    while line and not line.strip():
        line = text.readline(MAXIMUM_HEADER_CHARACTERS)
    text.seek(0)
    mark = named[1].strip(" \r\n") if named is not None else ""
    if mark and mark not in DELIMITERS:
        raise OrderFileError(
            "not_csv",
            f"{file_name}: found separator {mark!a} in the line sep=; expected a comma, a semicolon, a tab "
            "or |",
        )
    # A separator within quotes is part of the cell.
    bare = _QUOTED.sub("", line)
    return Dialect(mark or max(DELIMITERS, key=bare.count), 0 if named is None else 1)


def place_behind(text: str) -> str:
    """Row and column of the character that follows ``text``, as a spreadsheet counts them."""
    lines = io.StringIO(text, newline="")
    row = width = 0
    try:
        dialect = dialect_of(lines, "")
        for _ in range(dialect.lines_before):
            lines.readline()
        for cells in csv.reader(lines, delimiter=dialect.delimiter):
            row, width = row + 1, len(cells)
    except (OrderFileError, csv.Error):
        return f"line {text.count(chr(10)) + 1}"
    if not row or text.endswith(("\n", "\r")):
        return f"row {row + 1}, column 1"
    return f"row {row}, column {max(1, width)}"


LONGEST_CELL_CHARACTERS = 100_000


class Record(NamedTuple):
    """One row that is not blank.

    :param may_be_cut: the file ends directly after the row's last character.
    :param ends_in_quote: as ``may_be_cut``, but a quotation mark closes the last cell, so the cell is whole.
    """

    row_number: int
    cells: tuple[str, ...]
    may_be_cut: bool
    ends_in_quote: bool


class CsvReader:
    """A file's header and its records, for one pass.

    :param encoding: the codec of a file that was read before; None detects it.
    :ivar ends_whole: the file ends with a line break, so its last row was not cut off.
    :raises OrderFileError: for a file that is not text, has no header, or is not valid CSV in its header.
    """

    def __init__(self, content: bytes, file_name: str, encoding: str | None = None) -> None:
        self.file_name = file_name
        # UTF-16 has a zero byte before or after the line break.
        end = content.rstrip(b"\x00")
        self.ends_whole, self._ends_in_quote = end.endswith((b"\n", b"\r")), end.endswith(b'"')
        self.encoding = encoding or encoding_of(content, file_name)
        text = io.TextIOWrapper(io.BytesIO(content), encoding=self.encoding, newline="")
        dialect = dialect_of(text, file_name)
        for _ in range(dialect.lines_before):
            text.readline()
        self.delimiter = dialect.delimiter
        self._reader = csv.reader(text, delimiter=self.delimiter, strict=True)
        self._row_number = 0
        self.header = self._read_header()
        self.header_row = self._row_number
        self._records = self._each_record()

    def records(self) -> Iterator[Record]:
        """Each row after the header that is not blank, in order; a later call continues where this stopped.

        :raises OrderFileError: where the file is not valid CSV (an unclosed quote, a giant cell).
        """
        return self._records

    def _each_record(self) -> Iterator[Record]:
        cells = self._next()
        while cells is not None:
            row_number, record, cells = self._row_number, tuple(cells), self._next()
            if "".join(record).strip():
                may_be_cut = cells is None and not self.ends_whole
                yield Record(row_number, record, may_be_cut, may_be_cut and self._ends_in_quote)

    def _read_header(self) -> tuple[str, ...]:
        while (cells := self._next()) is not None:
            if any(cell.strip() for cell in cells):
                while not cells[-1].strip():
                    cells.pop()
                return tuple(cells)
        raise OrderFileError(
            "empty", f"{self.file_name}: found no header; expected a first row with the titles of the columns"
        )

    def _next(self) -> list[str] | None:
        try:
            cells = next(self._reader, None)
        except csv.Error as error:
            raise self._no_csv(1, f"found {error}") from error
        if cells is None:
            return None
        self._row_number += 1
        # The csv module also has a limit, but any code in the process can change it.
        longest = max(map(len, cells), default=0)
        if longest > LONGEST_CELL_CHARACTERS:
            raise self._no_csv(
                0, f"found a cell of {longest:,} characters; expected at most {LONGEST_CELL_CHARACTERS:,}"
            )
        return cells

    def _no_csv(self, rows_ahead: int, what: str) -> OrderFileError:
        return OrderFileError(
            "not_csv",
            f"{self.file_name} row {self._row_number + rows_ahead} (line {self._reader.line_num}): {what} - "
            "a quote that is never closed is the usual cause, or a file that was cut off",
            row=self._row_number + rows_ahead,
        )
