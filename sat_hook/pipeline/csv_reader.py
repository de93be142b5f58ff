"""Read the cells of a submitted CSV file as people and Excel really write them, without interpreting them.

Rows are numbered as a spreadsheet shows them: the header is row 1, blank lines count, a ``sep=`` line does
not.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import NamedTuple

from sat_hook.pipeline.csv_dialect import dialect_of
from sat_hook.pipeline.errors import OrderFileError
from sat_hook.pipeline.text_encoding import encoding_of

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
