"""Reads an upload as a sheet: a CSV file, a workbook, or text pasted from a spreadsheet."""

from __future__ import annotations

import re

from sat_hook.pipeline.csv_reader import CsvReader
from sat_hook.pipeline.errors import OrderFileError
from sat_hook.pipeline.limits import FILE_LIMITS, FileLimits
from sat_hook.pipeline.order_columns import is_result_column
from sat_hook.pipeline.order_sheet import (
    OrderSheet,
    SheetEnd,
    SheetFacts,
    SheetFormat,
    SheetRow,
    check_columns,
    match_columns,
    order_csv,
)
from sat_hook.pipeline.workbook_orders import is_workbook, read_workbook
from sat_hook.presentation.spreadsheet_csv import plain

PASTED_NAME = "pasted rows"
_WORKBOOK_NAME = re.compile(r".*\.xls[xmb]?", re.IGNORECASE)


def read_sheet(
    content: bytes, file_name: str, limits: FileLimits = FILE_LIMITS, sheet_name: str | None = None
) -> OrderSheet:
    """Read a file, by its bytes: its name may be wrong.

    :param sheet_name: of a workbook, if not the first sheet with orders.
    :raises OrderFileError: it is neither CSV nor a workbook that can be read, or is larger than the limits.
    """
    if is_workbook(content):
        return read_workbook(content, file_name, limits, sheet_name)
    return _read_text(content, file_name, limits, SheetFormat.CSV)


def read_pasted(text: str, limits: FileLimits = FILE_LIMITS, *, has_header: bool = True) -> OrderSheet:
    """Read text that was copied from a spreadsheet: cells are separated by tabs.

    :param has_header: False when the first row is an order. The columns are then mapped by hand.
    :raises OrderFileError: it is empty, larger than the limits, or has a quotation mark without its partner.
    """
    if len(text) > limits.file_bytes:
        raise OrderFileError(
            "too_large",
            f"{PASTED_NAME}: found {len(text):,} characters; expected at most {limits.file_bytes:,}",
            found=len(text),
            most=limits.file_bytes,
        )
    lines = f"{text}\n"
    if not has_header:
        width = text.lstrip("\r\n").partition("\n")[0].count("\t") + 1
        lines = "\t".join(f"column {place}" for place in range(1, width + 1)) + "\n" + lines.lstrip("\r\n")
    return _read_text(lines.encode("utf-8", "replace"), PASTED_NAME, limits, SheetFormat.PASTE)


def order_file_of(
    content: bytes, file_name: str, limits: FileLimits = FILE_LIMITS
) -> tuple[bytes, OrderSheet | None]:
    """The order file in an upload whose columns need no mapping, and the sheet that it was made of.

    A CSV file is its own order file, and no sheet of it is made.

    :raises OrderFileError: a workbook cannot be read as orders.
    """
    if not is_workbook(content):
        return content, None
    sheet = read_workbook(content, file_name, limits)
    matches = match_columns(sheet.header, file_name, limits)
    found = [match.column for match in matches]
    columns = check_columns(found, sheet.header, file_name, sheet.header_row, limits)
    made = order_csv(sheet.rows, header=sheet.header, header_row=sheet.header_row, columns=columns)
    return made, sheet


def _read_text(content: bytes, file_name: str, limits: FileLimits, form: SheetFormat) -> OrderSheet:
    if not content.strip():
        raise OrderFileError(
            "empty", f"{file_name}: found an empty file; expected a header and at least one row"
        )
    try:
        reader = CsvReader(content, file_name)
    except OrderFileError as error:
        if error.code == "not_csv" and _WORKBOOK_NAME.fullmatch(file_name):
            raise OrderFileError(
                "workbook_other",
                f"{error} - its name says that it is a workbook, but its contents are none",
            ) from None
        raise
    is_result = any(map(is_result_column, reader.header))
    rows: list[SheetRow] = []
    end = SheetEnd()
    for record in reader.records():
        cells = tuple(map(plain, record.cells)) if is_result else record.cells
        rows.append(SheetRow(record.row_number, cells))
        end = SheetEnd(not record.may_be_cut, record.ends_in_quote)
        if len(rows) > limits.rows:
            raise OrderFileError(
                "too_many_rows",
                f"{file_name}: found more than {limits.rows:,} rows; expected at most that many",
                most=limits.rows,
            )
    facts = SheetFacts(form, encoding=reader.encoding, delimiter=reader.delimiter)
    return OrderSheet(facts, reader.header_row, reader.header, rows, end)
