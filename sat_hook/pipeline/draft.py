"""A draft: an upload that a person maps, mends and checks before it is submitted. Pure.

Its rows that cannot be paid are a file to mend and upload again.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict

from sat_hook.domain.batch_events import CellChange, ColumnMeaning, OrderFileMended, ShortFundsPolicy
from sat_hook.domain.grouping import row_ranges, rows_in
from sat_hook.pipeline.errors import OrderFileError
from sat_hook.pipeline.limits import FILE_LIMITS, BadRowsPolicy, FileLimits
from sat_hook.pipeline.order_columns import RESULT_COLUMNS, column_of
from sat_hook.pipeline.order_sheet import (
    OrderSheet,
    SheetEnd,
    SheetFacts,
    SheetFormat,
    SheetRow,
    check_columns,
    edited,
    match_columns,
    order_csv,
)
from sat_hook.pipeline.row_findings import RowFinding
from sat_hook.presentation.spreadsheet_csv import SpreadsheetWriter

MAXIMUM_CHANGES = 1_000
"""Changed cells of one draft."""


class DraftOptions(BaseModel):
    """How the batch shall be paid.

    :param reference: names the batch; None is the file's digest.
    :param start_at: when its run begins; None is at once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    reference: str | None = None
    on_bad_rows: BadRowsPolicy = BadRowsPolicy.PROCEED
    on_short_funds: ShortFundsPolicy = ShortFundsPolicy.WAIT
    start_at: AwareDatetime | None = None


class PaysAgain(BaseModel):
    """The batch whose failed orders a draft pays again.

    :param ended_by_people: how many of them a person ended, without SAT's signature.
    :param left_out: how many failed orders are not among the rows; most are paid again already.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    batch_id: str
    file_name: str
    ended_by_people: int
    left_out: int


class Draft(BaseModel):
    """The state of a draft. Its rows are kept beside it.

    :param matched: for each title the column that it was read as; None for an unknown title.
    :param columns: likewise, with what was mapped by hand.
    :param mapping: the name of the mapping that was applied, if any.
    :param changes: every change of a cell, in order.
    :param left_out: the rows that were set aside, see :func:`ranges_text`.
    :param batch_id: the batch that it became.
    :param pays_again: the batch whose failed orders it pays again, if it is such a draft.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    account: str
    file_name: str
    digest: str
    size_bytes: int
    facts: SheetFacts
    end: SheetEnd = SheetEnd()
    header_row: int
    header: tuple[str, ...]
    rows: int
    matched: tuple[str | None, ...]
    columns: tuple[str | None, ...]
    mapping: str | None = None
    changes: tuple[CellChange, ...] = ()
    left_out: str = ""
    options: DraftOptions = DraftOptions()
    batch_id: str | None = None
    pays_again: PaysAgain | None = None

    @property
    def edits(self) -> dict[int, dict[int, str]]:
        """The last text of each changed cell, by row number and column."""
        found: dict[int, dict[int, str]] = {}
        for change in self.changes:
            found.setdefault(change.row_number, {})[change.place] = change.cell_after
        return found

    @property
    def rows_left_out(self) -> frozenset[int]:
        """The numbers of the rows that were set aside."""
        return rows_of_text(self.left_out)

    @property
    def unknown_titles(self) -> tuple[str, ...]:
        """Titles that must be mapped by hand."""
        return tuple(t for t, column in zip(self.header, self.columns, strict=True) if column is None)

    @property
    def is_the_upload(self) -> bool:
        """Whether the upload itself is the order file, byte for byte."""
        is_untouched = not self.changes and not self.left_out and self.columns == self.matched
        return is_untouched and self.facts.format is SheetFormat.CSV

    def checked_columns(self, limits: FileLimits = FILE_LIMITS) -> tuple[str, ...]:
        """The columns as the intake reads them; raises OrderFileError."""
        return check_columns(self.columns, self.header, self.file_name, self.header_row, limits)

    def order_file(self, rows: Iterable[SheetRow], limits: FileLimits = FILE_LIMITS) -> bytes:
        """The order file of the draft's rows.

        :raises OrderFileError: a column is unknown, doubled or missing.
        """
        return order_csv(
            rows,
            header=self.header,
            header_row=self.header_row,
            columns=self.checked_columns(limits),
            edits=self.edits,
            left_out=self.rows_left_out,
            end=self.end,
        )

    def mended(self) -> OrderFileMended:
        """How the order file was made of the upload."""
        by_hand = zip(self.header, self.columns, self.matched, strict=True)
        return OrderFileMended(
            upload_name=self.file_name,
            upload_format=self.facts.format.value,
            upload_digest=self.digest,
            upload_bytes=self.size_bytes,
            columns=tuple(
                ColumnMeaning(title=title, column=column or "")
                for title, column, matched in by_hand
                if column != matched
            ),
            cell_changes=self.changes,
            left_out=self.left_out,
        )

    def with_columns(self, columns: Sequence[str | None], limits: FileLimits = FILE_LIMITS) -> Draft:
        """The draft with other columns.

        :raises OrderFileError: there is not one for each title, or it is no column.
        """
        if len(columns) != len(self.header):
            raise OrderFileError(
                "bad_mapping", f"{self.file_name}: found {len(columns)} columns; expected {len(self.header)}"
            )
        known = []
        for place, wanted in enumerate(columns, 1):
            column = (
                None if wanted is None else column_of(wanted, f"{self.file_name}, column {place}", limits)
            )
            if wanted is not None and column is None:
                raise OrderFileError(
                    "bad_mapping",
                    f"{self.file_name}: found column {wanted[:60]!r}; expected one of ours or note:<name>",
                )
            known.append(column)
        return self.model_copy(update={"columns": tuple(known)})

    def with_changes(self, changes: Collection[CellChange]) -> Draft:
        """The draft with more changed cells.

        :raises OrderFileError: there would be too many.
        """
        if len(self.changes) + len(changes) > MAXIMUM_CHANGES:
            raise OrderFileError(
                "too_many_changes",
                f"{self.file_name}: found more than {MAXIMUM_CHANGES:,} changed cells; expected no more - "
                "mend the others in your spreadsheet and upload it again",
                most=MAXIMUM_CHANGES,
            )
        return self.model_copy(update={"changes": (*self.changes, *changes)})

    def without_rows(self, row_numbers: Collection[int]) -> Draft:
        """The draft with these rows set aside."""
        return self.model_copy(update={"left_out": ranges_text(self.rows_left_out.union(row_numbers))})

    def with_rows(self, row_numbers: Collection[int]) -> Draft:
        """The draft with these rows back among the others."""
        return self.model_copy(update={"left_out": ranges_text(self.rows_left_out.difference(row_numbers))})


def draft_of(
    sheet: OrderSheet,
    *,
    account: str,
    file_name: str,
    digest: str,
    size_bytes: int,
    pays_again: PaysAgain | None = None,
) -> Draft:
    """A draft of an upload, with the columns that are known.

    :raises OrderFileError: a title cannot be one.
    """
    matched = tuple(match.column for match in match_columns(sheet.header, file_name))
    return Draft(
        account=account,
        file_name=file_name,
        digest=digest,
        size_bytes=size_bytes,
        facts=sheet.facts,
        end=sheet.end,
        header_row=sheet.header_row,
        header=sheet.header,
        rows=len(sheet.rows),
        matched=matched,
        columns=matched,
        pays_again=pays_again,
    )


def change_of(
    row: SheetRow, place: int, text: str, draft: Draft, changed_by: str, changed_at: datetime
) -> CellChange:
    """A changed cell of a row, with the text that it has now."""
    before = draft.edits.get(row.row_number, {}).get(place)
    if before is None:
        before = row.cells[place - 1] if place <= len(row.cells) else ""
    column = draft.columns[place - 1] if place <= len(draft.columns) else None
    return CellChange(
        row_number=row.row_number,
        place=place,
        column=column or "",
        cell_before=before,
        cell_after=text,
        changed_by=changed_by,
        changed_at=changed_at,
    )


def ranges_text(row_numbers: Iterable[int]) -> str:
    """Row numbers in short, for example ``3-5,9``."""
    return ",".join(
        str(first) if first == last else f"{first}-{last}" for first, last in row_ranges(row_numbers)
    )


def rows_of_text(ranges: str) -> frozenset[int]:
    """The row numbers that :func:`ranges_text` wrote.

    :raises ValueError: it is something else.
    """
    parts = (part.partition("-") for part in ranges.split(",") if part)
    return rows_in(tuple((int(first), int(last or first)) for first, _, last in parts))


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
