"""The rows of a draft that cannot be paid, as a file to mend and upload again."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence

from sat_hook.pipeline.draft import Draft
from sat_hook.pipeline.order_columns import RESULT_COLUMNS
from sat_hook.pipeline.order_sheet import SheetRow, edited
from sat_hook.pipeline.row_findings import RowFinding
from sat_hook.presentation.spreadsheet_csv import SpreadsheetWriter

FIX_COLUMNS = ("sat_reason", "sat_message")
"""Columns of a result file: they are ignored when the file is uploaded again."""


def bad_rows_csv(
    draft: Draft,
    rows: Sequence[SheetRow],
    findings: Mapping[int, Sequence[RowFinding]],
    said: Callable[[RowFinding], str],
) -> bytes:
    """The rows with the draft's titles, and columns that say what to fix. UTF-8 with BOM, safe to open.

    :param findings: those of a check, by row number.
    :param said: what is wrong and what to do, in the person's language.
    """
    kept = [place for place, column in enumerate(draft.columns) if column not in RESULT_COLUMNS]
    out = io.StringIO(newline="")
    writer = SpreadsheetWriter(out, draft.facts.delimiter or ",")
    writer.row([*(draft.header[place] for place in kept), *FIX_COLUMNS])
    edits = draft.edits
    for row in rows:
        cells = edited(row.cells, edits.get(row.row_number, {}))
        cells += [""] * (len(draft.columns) - len(cells))
        found = findings.get(row.row_number, ())
        reasons = "; ".join(dict.fromkeys(one.code for one in found)) or "set_aside"
        messages = "; ".join(dict.fromkeys(map(said, found)))
        writer.row([*(cells[place] for place in kept), reasons, messages])
    return out.getvalue().encode("utf-8-sig")
