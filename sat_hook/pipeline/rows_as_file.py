"""Rows that come from no file, of a table or of a program, as the order file that is spooled for them."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from sat_hook.pipeline.csv_reader import DELIMITERS
from sat_hook.pipeline.limits import FileLimits
from sat_hook.pipeline.order_columns import INTAKE_ERROR, field_name_problem
from sat_hook.pipeline.order_problems import FIELD_PREFIX
from sat_hook.presentation.spreadsheet_cells import MAXIMUM_SHOWN_CHARACTERS
from sat_hook.store.order_intake import IntakeRow

COLUMNS = ("order_id", "product_code", "client_number", "amount_rupiah", "max_rupiah", "downline_id")


class _Quoted(csv.excel):
    """Every cell in quotes."""

    quoting = csv.QUOTE_ALL


def rows_as_file(rows: Sequence[IntakeRow], limits: FileLimits) -> bytes:
    """The rows as a file with a header that can always be read; errors of a row affect only that row."""
    names, errors = _field_names(rows, limits)
    titles = [*COLUMNS, *(FIELD_PREFIX + name for name in names), *([INTAKE_ERROR] if errors else [])]
    out = io.StringIO(newline="")
    # A character in a name must not count as the file's separator.
    dialect = _Quoted if any(mark in name for name in names for mark in DELIMITERS) else csv.excel
    csv.writer(out, dialect).writerow(titles)
    writer = csv.writer(out, lineterminator="\r\n")
    for place, row in enumerate(rows):
        # A row of blanks would be skipped as a blank line, but every row needs a verdict.
        cells = [
            row.order_id or "?",
            row.product_code,
            row.client_number,
            row.amount_rupiah,
            row.max_rupiah,
            row.downline_id,
            *(row.fields.get(name, "") for name in names),
            *([errors.get(place, "")] if errors else []),
        ]
        # One extra character is enough for the row to be refused as too long.
        writer.writerow([cell[: limits.cell_characters + 1] for cell in cells])
    return out.getvalue().encode("utf-8")


def _field_names(rows: Sequence[IntakeRow], limits: FileLimits) -> tuple[list[str], dict[int, str]]:
    """The columns that the rows' fields need, and the errors in field names by row index.

    Columns are assigned to rows in order; a row whose names no longer fit is in error.
    """
    room = limits.columns - len(COLUMNS) - 1
    names: set[str] = set()
    errors: dict[int, str] = {}
    for place, row in enumerate(rows):
        bad = next((name for name in row.fields if field_name_problem(name, limits)), None)
        if bad is not None:
            errors[place] = ascii(bad[:MAXIMUM_SHOWN_CHARACTERS])
        elif len(names | row.fields.keys()) > room:
            errors[place] = f"{len(row.fields)} names"
        else:
            names |= row.fields.keys()
    return sorted(names), errors
