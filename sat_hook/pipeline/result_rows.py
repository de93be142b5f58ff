"""The submitter's rows as a result file echoes them, from the spooled file or from the log."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from sat_hook.domain.batch import Batch
from sat_hook.domain.batch_events import RowSetAside
from sat_hook.domain.order import Order
from sat_hook.pipeline.csv_reader import SINGLE_BYTE, CsvReader
from sat_hook.pipeline.errors import OrderFileError
from sat_hook.pipeline.intake import submitted_bytes
from sat_hook.pipeline.order_columns import REQUIRED, is_result_column
from sat_hook.pipeline.order_problems import FIELD_PREFIX
from sat_hook.presentation.spreadsheet_csv import neutral, neutral_at_the_begin, plain
from sat_hook.store.as_of import StoreAsOf
from sat_hook.store.event_store import OrderSlice, each_order
from sat_hook.store.spool import SpoolReader

NOTICE = (
    "The submitted file is not in the spool any more (removed by retention, or archived): the rows are shown "
    "as the log has them, so notes and the cells of refused rows are missing."
)


@dataclass(frozen=True, slots=True)
class ResultForm:
    """The way a release wrote result files, so that they can be made again and compared.

    :param as_text: makes a cell text for a spreadsheet.
    :param single_byte: the encoding for files that are not UTF-8.
    """

    as_text: Callable[[str], str]
    single_byte: str


CURRENT_FORM = ResultForm(neutral, SINGLE_BYTE)
EARLIER_FORMS = (ResultForm(neutral_at_the_begin, "latin-1"),)


class GivenRows(Protocol):
    """The rows of a batch by their numbers, in order.

    :param notice: a notice about them for people.
    """

    header: list[str]
    delimiter: str
    notice: str | None

    def rows(self) -> Iterator[tuple[int, Sequence[str]]]:
        """Number and cells of each row, as wide as the header."""


class SubmittedRows:
    """The rows of the spooled file, without the columns of a result file that was submitted again.

    :raises SpoolFileGoneError: when the file is gone.
    :raises SpoolError: when it cannot be read, or is another file.
    """

    notice: str | None = None

    def __init__(self, spool: SpoolReader, batch: Batch, form: ResultForm = CURRENT_FORM) -> None:
        self._file = _file_of(submitted_bytes(spool, batch), batch.file_name, form)
        titles = self._file.header
        self._places = [place for place, title in enumerate(titles) if not is_result_column(title)]
        self._is_result = len(self._places) < len(titles)
        self.header = self._kept(titles)
        self.delimiter = self._file.delimiter

    def rows(self) -> Iterator[tuple[int, Sequence[str]]]:
        """:class:`GivenRows`."""
        return ((record.row_number, self._kept(record.cells)) for record in self._file.records())

    def _kept(self, cells: Sequence[str]) -> list[str]:
        given = [cells[place] if place < len(cells) else "" for place in self._places]
        return [plain(cell) for cell in given] if self._is_result else given


class LoggedRows:
    """The rows from the log: the parts of each order that go to SAT, and the ids of rows set aside."""

    notice: str | None = NOTICE
    delimiter = ","

    def __init__(self, past: StoreAsOf, batch: Batch, aside: Sequence[RowSetAside]) -> None:
        orders = [(order.row_number, _cells(order)) for order in each_order(past, OrderSlice(batch.batch_id))]
        found = dict.fromkeys(name for _, cells in orders for name in cells)
        self.header = list(dict.fromkeys((*REQUIRED, *found)))
        others = [(item.row_number, {"order_id": item.order_id or ""}) for item in aside]
        # A later batch corrected the content of such a row.
        others += [
            (earlier.row_number, {"order_id": order.order_id})
            for order in past.moved_on(batch.batch_id)
            for earlier in order.rejected_before
            if earlier.batch_id == batch.batch_id
        ]
        others.sort(key=lambda row: row[0])
        self._rows = heapq.merge(orders, others, key=lambda row: row[0])

    def rows(self) -> Iterator[tuple[int, Sequence[str]]]:
        """:class:`GivenRows`."""
        return ((number, [cells.get(name, "") for name in self.header]) for number, cells in self._rows)


def _cells(order: Order) -> dict[str, str]:
    cells = {
        "order_id": order.order_id,
        "product_code": order.product_code,
        "client_number": order.client_number,
        "amount_rupiah": order.amount_rupiah,
        "max_rupiah": order.max_rupiah,
        "downline_id": order.downline_id,
        **{f"{FIELD_PREFIX}{name}": value for name, value in order.fields},
    }
    return {name: str(value) for name, value in cells.items() if value is not None}


def _file_of(content: bytes, file_name: str, form: ResultForm) -> CsvReader:
    try:
        file = CsvReader(content, file_name)
    except OrderFileError:
        # An earlier release read all files that are not UTF-8 as Latin-1; its rows stay readable.
        return CsvReader(content, file_name, "latin-1")
    return file if file.encoding != SINGLE_BYTE else CsvReader(content, file_name, form.single_byte)
