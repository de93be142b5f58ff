"""Read an order file as people and Excel really write it, without guessing about money or identity.

A pure function of bytes: :class:`OrderFile` gives the order of each row, or what is wrong with it.
Encodings are in :mod:`~sat_hook.pipeline.csv_reader`, separators in :mod:`~sat_hook.pipeline.csv_reader`,
titles in :mod:`~sat_hook.pipeline.order_columns`, cells in :mod:`~sat_hook.pipeline.order_rows`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sat_hook.pipeline.csv_reader import CsvReader, Record
from sat_hook.pipeline.errors import OrderFileError
from sat_hook.pipeline.limits import FILE_LIMITS, FileLimits
from sat_hook.pipeline.order_columns import REQUIRED, RESULT_COLUMNS, columns_of, is_result_column
from sat_hook.pipeline.order_problems import NOTE_PREFIX, RowProblem
from sat_hook.pipeline.order_rows import ORDER_ID, OrderRow, order_or_problem
from sat_hook.presentation.spreadsheet_csv import plain

# Columns in which a cut cell gives another order. A lower ceiling only refuses.
_WRONG_WHEN_SHORTER = (*REQUIRED, "amount_rupiah")
# The expected length of a file's last number when no row above has one.
_USUAL_CHARACTERS = {"client_number": 8}

__all__ = ["FileRow", "OrderFile", "OrderRow", "RowProblem"]


class FileRow(NamedTuple):
    """One row of the file: its original cells, and its order or its problem."""

    row_number: int
    cells: tuple[str, ...]
    order_id: str | None
    outcome: OrderRow | RowProblem


class OrderFile:
    """An order file for one pass.

    :raises OrderFileError: for bytes that are not text, and for a missing or wrong header.
    """

    def __init__(self, content: bytes, file_name: str, limits: FileLimits = FILE_LIMITS) -> None:
        self.file_name = file_name
        self.limits = limits
        self._reader = CsvReader(content, file_name)
        self.delimiter = self._reader.delimiter
        self.header = self._reader.header
        self._columns = columns_of(self.header, file_name, self._reader.header_row, limits)
        # Our own result file puts an apostrophe before text that a spreadsheet would run: remove it.
        self._is_result = any(map(is_result_column, self.header))
        self._read = [(place, name) for place, name in enumerate(self._columns) if name not in RESULT_COLUMNS]
        # What rows above the last one have, to see whether that was cut off.
        self._fewest_cells = len(self.header)
        self._shortest: dict[str, int] = {}

    def rows(self) -> Iterator[FileRow]:
        """Each row that is not blank, in order; a later call continues where this one stopped.

        :raises OrderFileError: where the file is not valid CSV, or ends in the middle of a row.
        """
        for record in self._reader.records():
            yield self._row(record)

    def _row(self, record: Record) -> FileRow:
        cells = tuple(map(plain, record.cells)) if self._is_result else record.cells
        width = len(cells)
        values = {name: cells[place].strip(" \t") for place, name in self._read if place < width}
        outcome = self._outcome(record, cells, values)
        order_id = values.get("order_id") or None
        if isinstance(outcome, RowProblem):
            if outcome.column in self._columns:
                outcome = outcome.titled(self.header[self._columns.index(outcome.column)])
            if order_id and not ORDER_ID.fullmatch(order_id):
                order_id = None
        return FileRow(record.row_number, cells, order_id, outcome)

    def _outcome(
        self, record: Record, cells: tuple[str, ...], values: dict[str, str]
    ) -> OrderRow | RowProblem:
        surplus = [cell for cell in cells[len(self._columns) :] if cell.strip()]
        if surplus:
            return RowProblem(
                "surplus_cells",
                f"{len(self._columns) + 1}",
                surplus[0],
                f"{len(self._columns)} columns as in the header (is a cell with a {self.delimiter!r} "
                "not quoted?)",
            )
        if record.may_be_cut and (problem := self._cut(record, values)):
            return problem
        if not self._reader.ends_whole:
            self._fewest_cells = min(self._fewest_cells, len(cells))
            for name, value in values.items():
                self._shortest[name] = min(self._shortest.get(name, len(value)), len(value))
        return order_or_problem(values, self.limits)

    def _cut(self, record: Record, values: dict[str, str]) -> RowProblem | None:
        """The evidence that the file was cut off in its last row, which ends without a line break."""
        if len(record.cells) < self._fewest_cells:
            raise OrderFileError(
                "not_csv",
                f"{self.file_name} row {record.row_number}: found the end of the file behind "
                f"{len(record.cells)} of {self._fewest_cells} cells, without a line break; expected a whole "
                "file - if it was not cut off on its way, end its last row with a line break",
                row=record.row_number,
            )
        if len(record.cells) > len(self._columns) or record.ends_in_quote:
            return None
        last = self._columns[len(record.cells) - 1]
        length = len(values.get(last, ""))
        usual = self._shortest.get(last, _USUAL_CHARACTERS.get(last, 0))
        is_short = last in _WRONG_WHEN_SHORTER and length < usual
        # A ceiling lost with the end of the file must not count as one that was never given.
        is_lost = not length and last in values and not last.startswith(NOTE_PREFIX)
        if is_short or is_lost:
            return RowProblem(
                "cut_off",
                last,
                f"the end of the file behind {length} characters, without a line break",
                "a whole file - if it was not cut off on its way, end its last row with a line break",
                is_told=True,
            )
        return None
