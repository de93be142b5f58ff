"""The rows of an uploaded file as text, before they are orders, and the order file that is made of them.

A sheet comes from a CSV file, a workbook or pasted text. Its columns are matched to ours, or mapped by hand.
The order file is CSV with our columns, in which every row keeps its number: row 7 of the upload is row 7 of
the file, so messages, results and the upload name the same row.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from sat_hook.domain.identity import digest_of
from sat_hook.pipeline.cell_marks import TEXT, marked
from sat_hook.pipeline.errors import OrderFileError
from sat_hook.pipeline.limits import FILE_LIMITS, FileLimits
from sat_hook.pipeline.order_columns import RESULT_COLUMNS, column_of, columns_of, key_of
from sat_hook.pipeline.order_problems import NOTE_PREFIX

Edits = Mapping[int, Mapping[int, str]]
"""The texts of changed cells, by row number and column, as a spreadsheet counts; the first column is 1."""


class SheetFormat(StrEnum):
    """How the rows arrived."""

    CSV = "csv"
    XLSX = "xlsx"
    PASTE = "paste"


@dataclass(frozen=True, slots=True)
class SheetFacts:
    """What was found while the rows were read.

    :param encoding: of a text; None for a workbook. ``delimiter`` likewise.
    :param sheet: the sheet that was read; ``other_sheets`` were not.
    :param skipped_rows: rows above the header, which are not read.
    :param formula_cells: cells that hold a formula; their shown values are read.
    :param first_formulas: where the first of them are, for example ``C7``.
    :param hidden_rows: rows that the spreadsheet hides; they are read like the others.
    """

    format: SheetFormat
    encoding: str | None = None
    delimiter: str | None = None
    sheet: str | None = None
    other_sheets: tuple[str, ...] = ()
    skipped_rows: int = 0
    formula_cells: int = 0
    first_formulas: tuple[str, ...] = ()
    hidden_rows: int = 0


@dataclass(frozen=True, slots=True)
class SheetRow:
    """A row that is not blank.

    :param kinds: one letter a cell, see :mod:`~sat_hook.pipeline.cell_marks`; empty when all are text.
    """

    row_number: int
    cells: tuple[str, ...]
    kinds: str = ""


@dataclass(frozen=True, slots=True)
class SheetEnd:
    """How a text ends: a file that was cut off in its last row has no line break there."""

    has_line_break: bool = True
    ends_in_quote: bool = False


@dataclass(frozen=True, slots=True)
class OrderSheet:
    """The header and the rows of an upload."""

    facts: SheetFacts
    header_row: int
    header: tuple[str, ...]
    rows: list[SheetRow] = field(repr=False)
    end: SheetEnd = SheetEnd()


@dataclass(frozen=True, slots=True)
class ColumnMatch:
    """A column of the upload, and which of ours it is; None when that must be said by hand.

    :param title: empty for a column without one.
    """

    title: str
    column: str | None


def match_columns(
    header: Sequence[str], file_name: str, limits: FileLimits = FILE_LIMITS
) -> tuple[ColumnMatch, ...]:
    """Match the titles as the intake does.

    :raises OrderFileError: a title is too long or has control characters, or there are too many.
    """
    if len(header) > limits.columns:
        raise OrderFileError(
            "too_many_columns",
            f"{file_name}: found {len(header)} columns; expected at most {limits.columns}",
            found=len(header),
            most=limits.columns,
        )
    return tuple(
        ColumnMatch(title.strip(), column_of(title, f"{file_name}, column {place}", limits))
        for place, title in enumerate(header, 1)
    )


def check_columns(
    columns: Sequence[str | None],
    header: Sequence[str],
    file_name: str,
    row_number: int,
    limits: FileLimits = FILE_LIMITS,
) -> tuple[str, ...]:
    """The columns as the intake reads them.

    :param row_number: of the header.
    :param columns: for each title its column, by hand or matched; None when it is not known yet.
    :raises OrderFileError: one is unknown, doubled or missing.
    """
    titles = [title if name is None else name for name, title in zip(columns, header, strict=True)]
    return columns_of(titles, file_name, row_number, limits)


def header_fingerprint(header: Sequence[str]) -> str:
    """Tells sheets with the same titles, whatever their capitals, spaces and marks."""
    return digest_of("\x1f".join(map(key_of, header)).encode("utf-8", "replace"))


def note_for(title: str, place: int) -> str:
    """The note that a column without a meaning becomes."""
    return f"{NOTE_PREFIX}{title.strip() or f'column {place}'}"


def order_csv(
    sheet_rows: Iterable[SheetRow],
    *,
    header: Sequence[str],
    header_row: int,
    columns: Sequence[str],
    edits: Edits | None = None,
    left_out: Collection[int] = (),
    end: SheetEnd = SheetEnd(),
) -> bytes:
    """The order file of a sheet: UTF-8, our columns, each row with its number.

    :param columns: for each title its column, see :func:`check_columns`.
    :param edits: cells that a person changed. What a person types is text.
    :param left_out: numbers of rows that are not orders of this file.
    :param end: of the text that the rows come from. A last row that may have been cut off stays so, unless a
        person changed it.
    """
    edits = edits or {}
    kept = [place for place, name in enumerate(columns) if name not in RESULT_COLUMNS]
    product_at = columns.index("product_code")
    out = io.StringIO(newline="")
    out.write("\r\n" * (header_row - 1))
    # Quoted, so that no mark in a title counts as the separator.
    quoting = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    quoting.writerow([_title(columns[place], header[place]) for place in kept])
    writer = csv.writer(out, lineterminator="\r\n")
    at, last_at, last = header_row, 0, None
    for row in sheet_rows:
        if row.row_number in left_out:
            continue
        out.write("\r\n" * (row.row_number - at - 1))
        at, last_at = row.row_number, out.tell()
        cells = list(row.cells)
        changed = edits.get(row.row_number, {})
        if changed:
            cells = edited(cells, changed)
        if row.kinds:
            product = cells[product_at].strip() if product_at < len(cells) else ""
            for place, kind in enumerate(row.kinds):
                if kind != TEXT and place < len(columns) and place + 1 not in changed:
                    cells[place] = marked(columns[place], cells[place], kind, product)
        last = [cells[place] for place in kept if place < len(cells)] + cells[len(columns) :]
        writer.writerow(last)
    if last is not None and not end.has_line_break and not edits.get(at):
        if end.ends_in_quote:
            out.seek(last_at)
            quoting.writerow(last)
        return out.getvalue().removesuffix("\r\n").encode("utf-8")
    return out.getvalue().encode("utf-8")


def edited(cells: Sequence[str], changed: Mapping[int, str]) -> list[str]:
    """The cells of a row with those that a person changed, by column."""
    row = [*cells, *[""] * (max(changed, default=0) - len(cells))]
    for column, text in changed.items():
        row[column - 1] = text
    return row


def _title(column: str, title: str) -> str:
    """Ours by our name; a note by the title that its owner knows, where that alone says that it is one."""
    if not column.startswith(NOTE_PREFIX):
        return column
    known = column_of(title, "", FILE_LIMITS) if len(title) <= FILE_LIMITS.cell_characters else None
    return title.strip() if known == column else column
