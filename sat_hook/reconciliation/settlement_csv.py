"""Streams the rows of a settlement text file. A damaged row affects only itself."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain, islice
from typing import Any, Literal, NamedTuple

from sat_hook.domain.settlement_mapping import SettlementMapping
from sat_hook.reconciliation.errors import SettlementRefusedError
from sat_hook.reconciliation.settlement_cells import STRAY_QUOTE, TOO_LONG
from sat_hook.reconciliation.settlement_header import has_columns

ROWS_OF_A_CHUNK = 5_000
MAXIMUM_LINE_BYTES = 1024 * 1024
MAXIMUM_LINES_OF_A_ROW = 50
_ENCODINGS = ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "cp500")
_END = "\x00end"
"""A sentinel after the last line: it is a row of its own, unless a quotation mark is open."""


class Chunk(NamedTuple):
    """Some rows with their numbers as a spreadsheet counts; ``troubles`` by number."""

    numbers: Sequence[int]
    rows: list[list[str]]
    troubles: dict[int, str]


def csv_chunks(content: bytes, name: str, mapping: SettlementMapping) -> Iterator[Chunk]:
    """Yield all rows of a file, including its header. Bytes that are not valid in the encoding stay as
    surrogates.

    :raises SettlementRefusedError: the file is not text in the mapping's encoding, or has no lines.
    """
    # EBCDIC has its own byte for the end of a line.
    ends = {b"\n", b"\r", *(mark.encode(mapping.encoding) for mark in "\n\r")}
    for start in range(0, len(content), MAXIMUM_LINE_BYTES):
        end = start + MAXIMUM_LINE_BYTES
        if len(content) >= end and all(content.find(mark, start, end) < 0 for mark in ends):
            raise SettlementRefusedError(
                f"{name}: found {MAXIMUM_LINE_BYTES:,} bytes without the end of a line; expected a CSV file "
                f"in the mapping's encoding, {mapping.encoding}"
            )
    return _Reading(content, name, mapping).chunks()


def hint_at_encoding(content: bytes, mapping: SettlementMapping) -> str:
    """Return another encoding in which a file has the columns of a mapping."""
    for encoding in _ENCODINGS:
        try:
            # Unlike decode, it refuses UTF-16 and UTF-32 without their mark, as the reader will.
            decoder = codecs.getincrementaldecoder(encoding)("replace")
            lines = decoder.decode(content[:MAXIMUM_LINE_BYTES]).splitlines()
        except UnicodeError:
            continue
        header = lines[mapping.header_row - 1 : mapping.header_row]
        if any(has_columns(line.replace('"', "").split(mapping.delimiter), mapping) for line in header):
            return f'; its columns are there in another encoding: "encoding": "{encoding}"'
    return ""


class _Reading:
    def __init__(self, content: bytes, name: str, mapping: SettlementMapping) -> None:
        self._content, self._name, self._mapping = content, name, mapping
        self._width: int | None = None
        self._number = 0

    def chunks(self) -> Iterator[Chunk]:
        reader = self._reader(chain(self._lines(), (_END,)))
        raw, raw_at = self._lines(), 0
        while True:
            before, rows, is_torn = reader.line_num, list[list[str]](), False
            try:
                rows.extend(islice(reader, ROWS_OF_A_CHUNK))
            except csv.Error:
                is_torn = True
            except UnicodeError:
                raise self._no_text() from None
            has_end = rows[-1:] == [[_END]]
            if has_end:
                rows.pop()
            is_last = has_end or (not is_torn and len(rows) < ROWS_OF_A_CHUNK)
            # If the sentinel is not a row of its own, a quotation mark is open there.
            is_open = is_last and not has_end and rows != []
            if is_torn or is_open or reader.line_num - before - has_end > len(rows):
                # Cells with several lines, or an unpaired quotation mark: read line by line.
                lines = list(islice(raw, before - raw_at, reader.line_num - raw_at))
                raw_at = reader.line_num
                yield self._numbered(*self._carefully(lines))
            else:
                yield self._numbered(rows, {})
            if is_last:
                return

    def _lines(self) -> io.TextIOWrapper:
        return io.TextIOWrapper(
            io.BytesIO(self._content), self._mapping.encoding, errors="surrogateescape", newline=""
        )

    def _reader(self, lines: Iterator[str], quoting: Literal[0, 3] = csv.QUOTE_MINIMAL) -> Any:
        return csv.reader(lines, delimiter=self._mapping.delimiter, quoting=quoting)

    def _numbered(self, rows: list[list[str]], places: dict[int, str]) -> Chunk:
        first = self._number + 1
        self._number += len(rows)
        if self._width is None and self._number >= self._mapping.header_row:
            self._width = len(rows[self._mapping.header_row - first])
        return Chunk(
            range(first, first + len(rows)), rows, {first + place: why for place, why in places.items()}
        )

    def _carefully(self, lines: list[str]) -> tuple[list[list[str]], dict[int, str]]:
        """Return the rows of some lines, and by place what is wrong with them."""
        rows: list[list[str]] = []
        troubles: dict[int, str] = {}
        at = 0
        while at < len(lines):
            if self._width is None and self._number + len(rows) == self._mapping.header_row:
                self._width = len(rows[-1])
            cells, used = self._row_at(lines, at)
            if cells is None:
                cells, used = self._without_quotes(lines[at]), 1
                troubles[len(rows)] = STRAY_QUOTE if cells else TOO_LONG
            rows.append(cells)
            at += used
        return rows, troubles

    def _row_at(self, lines: list[str], at: int) -> tuple[list[str] | None, int]:
        """Return the row that begins at a line and its number of lines; None when it has a stray quotation
        mark.
        """
        some = lines[at : at + MAXIMUM_LINES_OF_A_ROW]
        reader = self._reader(chain(some, (_END,)))
        try:
            cells = next(reader)
        except csv.Error:
            return None, 1
        used = reader.line_num
        if used == 1:
            return cells, used
        if used > len(some):
            return None, 1
        # A cell may have several lines; but whole rows between two quotation marks are not a cell.
        widths = [len(self._without_quotes(line)) for line in some[:used]]
        has_rows = self._width in widths[1:-1] or set(widths) == {self._width}
        if self._width is not None and (has_rows or len(cells) != self._width):
            return None, 1
        return cells, used

    def _without_quotes(self, line: str) -> list[str]:
        try:
            return next(self._reader(iter((line,)), csv.QUOTE_NONE), [])
        except csv.Error:
            return []

    def _no_text(self) -> SettlementRefusedError:
        """The error for an encoding whose damage cannot be set aside, for example UTF-16."""
        encoding, place = self._mapping.encoding, ""
        # Some codecs give no place, and some have no replacement character.
        with suppress(UnicodeError):
            try:
                self._content.decode(encoding)
            except UnicodeDecodeError as error:
                line = self._content[: error.start].decode(encoding, "replace").count("\n") + 1
                place = f" at line {line}, byte {error.start + 1:,}"
        return SettlementRefusedError(
            f"{self._name}: found what is no {encoding} text{place}; expected the mapping's encoding"
            f"{hint_at_encoding(self._content, self._mapping)}"
        )
