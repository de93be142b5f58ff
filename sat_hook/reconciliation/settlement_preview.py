"""A settlement file that a person brings: its first rows as they are and as a mapping reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

import pandas as pd

from sat_hook.domain.masking import masked_number
from sat_hook.domain.settlement_mapping import DateOrder, SettlementMapping
from sat_hook.presentation.spreadsheet_cells import has_long_number
from sat_hook.reconciliation.errors import SettlementRefusedError
from sat_hook.reconciliation.settlement import read_settlement
from sat_hook.reconciliation.settlement_cells import OUR_REQUEST_ID, moments_of
from sat_hook.reconciliation.settlement_csv import Chunk, csv_chunks
from sat_hook.reconciliation.settlement_format import is_workbook
from sat_hook.reconciliation.settlement_header import DELIMITERS, names_in
from sat_hook.reconciliation.settlement_rows import RowsSum, SettlementNote, SettlementRows
from sat_hook.reconciliation.settlement_sheets import SheetReading

SHOWN_ROWS = 100
SHOWN_COLUMNS = 40
SHOWN_ASIDE = 50
MAXIMUM_CELL_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class PreviewRow:
    """A row of the file: its cells, and what the mapping makes of it.

    :param cells: numbers of customers masked.
    :param kind: sale, refund, unknown; ``header`` or ``other`` for rows that are about no order.
    """

    number: int
    cells: tuple[str, ...]
    kind: str = "other"
    status: str = ""
    rupiah: int | None = None
    moment: datetime | None = None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class SettlementPreview:
    """How a mapping reads a file.

    :param problem: why it cannot be read as a whole; then only ``rows`` and ``columns`` are known.
    :param columns: the names in the header row.
    :param sheets: the sheets of a workbook; empty for text.
    :param sums: number and rupiah of sales by status, and of refunds.
    """

    columns: tuple[str, ...]
    rows: tuple[PreviewRow, ...]
    sheets: tuple[str, ...] = ()
    problem: str = ""
    kept: int = 0
    aside: int = 0
    charged_rupiah: int = 0
    sums: Mapping[str, RowsSum] = field(default_factory=dict)
    totals: int = 0
    repeated: int = 0
    notes: tuple[SettlementNote, ...] = ()
    troubles: tuple[PreviewRow, ...] = ()


def preview_settlement(content: bytes, name: str, mapping: SettlementMapping) -> SettlementPreview:
    """Read a file by a mapping. What is wrong with either is a part of the result."""
    try:
        sheets, raw = _raw_rows(content, name, mapping)
    except SettlementRefusedError as error:
        return SettlementPreview((), (), problem=str(error))
    first = [(number, tuple(map(_shown, cells[:SHOWN_COLUMNS]))) for number, cells in raw]
    header = next((cells for number, cells in raw if number == mapping.header_row), [])
    columns = tuple(one for one in names_in(header) if one)[:SHOWN_COLUMNS]
    try:
        read = read_settlement(content, name, mapping)
    except SettlementRefusedError as error:
        rows = tuple(PreviewRow(number, cells) for number, cells in first)
        return SettlementPreview(columns, rows, sheets, str(error))
    return _understood(read, columns, first, sheets, mapping)


def guessed_delimiter(content: bytes) -> str:
    """The delimiter that a text file seems to have."""
    beginning = content[:20_000].decode("utf-8", "replace")
    return max(DELIMITERS, key=beginning.count)


def _raw_rows(
    content: bytes, name: str, mapping: SettlementMapping
) -> tuple[tuple[str, ...], list[tuple[int, list[str]]]]:
    """The sheets, and the first rows with their numbers."""
    most = SHOWN_ROWS + mapping.header_row
    if is_workbook(content, name):
        reading = SheetReading(content, name, mapping)
        return reading.names, list(islice(_numbered(reading.chunks()), most))
    return (), list(islice(_numbered(csv_chunks(content, name, mapping)), most))


def _numbered(chunks: Iterator[Chunk]) -> Iterator[tuple[int, list[str]]]:
    for chunk in chunks:
        yield from zip(chunk.numbers, chunk.rows, strict=True)


def _understood(
    read: SettlementRows,
    columns: tuple[str, ...],
    first: list[tuple[int, tuple[str, ...]]],
    sheets: tuple[str, ...],
    mapping: SettlementMapping,
) -> SettlementPreview:
    last = first[-1][0] if first else 0
    of_first = read.frame[read.frame["file_row"] <= last]
    rows = {row.number: row for row in _rows(of_first, dict(first))}
    aside, tally = read.set_aside, read.tally()
    return SettlementPreview(
        columns=columns,
        rows=tuple(
            rows.get(
                number,
                PreviewRow(number, cells, "header" if number == mapping.header_row else "other"),
            )
            for number, cells in first
        ),
        sheets=sheets,
        kept=tally.rows,
        aside=len(aside),
        charged_rupiah=tally.charged_rupiah,
        sums=tally.sums,
        totals=len(read.totals),
        repeated=tally.repeated,
        notes=read.notes,
        troubles=tuple(_rows(aside.iloc[:SHOWN_ASIDE], {})),
    )


def _rows(frame: pd.DataFrame, cells: Mapping[int, tuple[str, ...]]) -> Iterator[PreviewRow]:
    # A row is named by the columns, so it has no type of its own.
    rows: Iterator[Any] = iter(frame.itertuples())
    for row in rows:
        yield PreviewRow(
            number=int(row.file_row),
            cells=cells.get(int(row.file_row), ()),
            kind=row.kind,
            status=row.status,
            rupiah=int(row.rupiah),
            moment=None if pd.isna(row.moment) else row.moment.to_pydatetime(),
            trouble=row.trouble,
        )


def _shown(cell: str) -> str:
    """A cell without a customer's number. Our request ids and times are shown."""
    text = "".join(mark if mark.isprintable() else " " for mark in cell.strip())[:MAXIMUM_CELL_CHARACTERS]
    if not has_long_number(text) or OUR_REQUEST_ID.fullmatch(text) or _is_moment(text):
        return text
    return masked_number(text)


def _is_moment(text: str) -> bool:
    orders = (DateOrder.YEAR_FIRST, DateOrder.DAY_FIRST, DateOrder.MONTH_FIRST)
    return any(moments_of(SettlementMapping(date_order=order), [text])[0] is not None for order in orders)
