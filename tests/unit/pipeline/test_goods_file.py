"""Goods as files: every digit of a voucher reaches the customer."""

from __future__ import annotations

import csv
import io
import tracemalloc
from pathlib import Path

import openpyxl
import pytest

from sat_hook.pipeline.delivery import DELIVERY_COLUMNS, goods_file
from sat_hook.presentation.text_tables import TableFormat, TextTable

ROWS = [
    ("A-1", "2", "pln-prepaid-token-100k", "081234567890", "51961584082820854701", "00123412341234567890"),
    ("A-2", "3", "voucher", "081234567891", "=HYPERLINK(1)", "x;=1+1"),
]


def test_cells_of_the_workbook_are_text() -> None:
    """Twenty digits and leading zeros stay as SAT gave them, and nothing runs."""
    sheet = openpyxl.load_workbook(io.BytesIO(goods_file(ROWS, TableFormat.XLSX, ","))).active
    assert sheet is not None
    header, first, second = sheet.iter_rows()
    assert tuple(cell.value for cell in header) == DELIVERY_COLUMNS
    assert tuple(cell.value for cell in first) == ROWS[0]
    assert {cell.data_type for row in (first, second) for cell in row} == {"s"}
    assert {cell.number_format for row in (first, second) for cell in row} == {"@"}
    assert [cell.value for cell in second][4:] == ["'=HYPERLINK(1)", "x;'=1+1"]


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_csv_has_the_separator_of_the_submitted_file(mark: str) -> None:
    """The submitter's spreadsheet splits it into columns; at no separator a formula begins."""
    text = goods_file(ROWS, TableFormat.CSV, mark).decode("utf-8-sig")
    header, first, _ = csv.reader(io.StringIO(text), delimiter=mark)
    assert (tuple(header), tuple(first)) == (DELIVERY_COLUMNS, ROWS[0])
    for other in ",;\t":
        cells = [cell for row in csv.reader(io.StringIO(text), delimiter=other) for cell in row]
        assert not [cell for cell in cells if cell.lstrip(' "')[:1] in tuple("=+-@")]


@pytest.mark.parametrize("file_format", list(TableFormat))
def test_a_file_of_many_rows_needs_no_more_memory_than_one_of_few(
    tmp_path: Path, file_format: TableFormat
) -> None:
    """Rows are read while they are written, and wait on the disk."""

    def peak(rows: int) -> int:
        each = ((f"A-{number}", "2", "pulsa", f"0812{number:08}", "succeeded") for number in range(rows))
        table = TextTable("orders", ("id", "row", "product", "number", "state"), (9, 9, 9, 9, 9))
        with (tmp_path / "file").open("w+b") as out:
            tracemalloc.start()
            if file_format is TableFormat.XLSX:
                table.write_workbook(out, each, str(tmp_path))
            else:
                table.write_csv(out, each)
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        return most

    peak(1)
    assert peak(1_000) < 1.5 * peak(100)
