"""A settlement file's rows as a frame: chunk by chunk, each row good, set aside with a reason, or a total."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import repeat
from operator import itemgetter
from typing import NamedTuple

import numpy as np
import pandas as pd

from sat_hook.domain.settlement_mapping import MAXIMUM_HEADER_ROW, RowKind, SettlementMapping
from sat_hook.reconciliation.settlement_cells import (
    EXTRA_CELLS,
    NO_REQUEST_ID,
    NO_USABLE_ID,
    REQUEST_ID,
    UNKNOWN_STATUS,
    UNREADABLE_TEXT,
    Amounts,
    Standing,
    Standings,
    client_numbers_of,
    kind_of,
    moments_of,
)
from sat_hook.reconciliation.settlement_csv import Chunk
from sat_hook.reconciliation.settlement_header import names_in, places_of
from sat_hook.reconciliation.trouble import SettlementRefusedError

MAXIMUM_ROWS = 5_000_000
MAXIMUM_CHARACTERS = 200
"""Of an id or a product code; longer ones are none."""
MAXIMUM_TOTALS_JUDGED = 50
_UNREADABLE = re.compile("[\x00\ud800-\udfff]")
_FRAME = {
    "file_row": "int64",
    "request_id": "str",
    "rupiah": "int64",
    "kind": "str",
    "status": "str",
    "product_code": "str",
    "client_mark": "int64",
    "client_alternative": "int64",
    "client_shown": "str",
    "moment": "datetime64[us, UTC]",
    "trouble": "str",
}
_NOTHING = {"int64": 0, "str": "", "datetime64[us, UTC]": pd.NaT}


class NoteKind(StrEnum):
    """What was noticed about a settlement file."""

    OTHER_SHEETS = "other sheets"
    FORMULAS_WITHOUT_VALUE = "formulas without a value"
    ERROR_CELLS = "error cells"
    HIDDEN_ROWS = "hidden rows"
    TOTALS = "totals"
    FOOTER = "footer"
    MOMENTS = "moments"


class SettlementNote(NamedTuple):
    """Something about a file as a whole; ``is_doubt`` when a person has to look at it."""

    kind: NoteKind
    text: str
    is_doubt: bool = False


class TotalRow(NamedTuple):
    """A row that adds others up, or closes the file; ``rupiah`` where it has an amount."""

    file_row: int
    rupiah: int | None


@dataclass(frozen=True, slots=True)
class SettlementRows:
    """A file as a frame, one row for each of its rows about an order; totals and footers are beside it.

    Columns: ``file_row`` (as a spreadsheet counts), ``request_id``, ``rupiah`` (int64; of a refund it is
    negative), ``kind`` (a :class:`RowKind`: sale, refund or unknown), ``status`` (succeeded, failed,
    pending), ``product_code``, ``client_mark``, ``client_alternative``, ``client_shown`` (of the client
    number, see ``settlement_cells.client_differs``; 0 and empty where the mapping has none), ``moment`` (UTC,
    NaT where none), ``trouble`` (why the row is set aside; empty when it is good).
    """

    frame: pd.DataFrame
    has_product: bool
    has_client: bool
    totals: tuple[TotalRow, ...] = ()
    notes: tuple[SettlementNote, ...] = ()

    @property
    def kept(self) -> pd.DataFrame:
        """The rows that can be matched."""
        return self.frame[self.frame["trouble"] == ""]

    @property
    def set_aside(self) -> pd.DataFrame:
        """The rows that cannot be matched, with their trouble."""
        return self.frame[self.frame["trouble"] != ""]


class RowReader:
    """Reads the chunks of a file by a mapping, from its header on.

    :param name: of the file, for messages.
    """

    def __init__(self, name: str, mapping: SettlementMapping) -> None:
        self._name, self._mapping = name, mapping
        self._amounts, self._standings = Amounts(mapping), Standings(mapping)
        self._client_number = client_numbers_of(mapping)
        self._footer = _footer_pattern(mapping)
        self._width = 0
        self._places: dict[str, int] = {}
        self._frames: list[pd.DataFrame] = []
        self._totals: list[TotalRow] = []
        self._last_rows: deque[int] = deque(maxlen=mapping.footer_rows)
        self._unread_moments = 0
        self.first_rows: list[tuple[int, list[str]]] = []

    def add(self, chunk: Chunk) -> None:
        """Read some rows.

        :raises MissingColumnsError: at the header, when it lacks a column of the mapping.
        :raises SettlementRefusedError: when there are more rows than the limit.
        """
        numbers, rows = chunk.numbers, chunk.rows
        if not rows:
            return
        if numbers[-1] > MAXIMUM_ROWS + self._mapping.header_row:
            raise SettlementRefusedError(
                f"{self._name}: found more than {MAXIMUM_ROWS:,} rows; expected no more"
            )
        if not self._places:
            self.first_rows = list(zip(numbers, rows, strict=True))[:MAXIMUM_HEADER_ROW]
            header = self._mapping.header_row
            first = next((place for place, number in enumerate(numbers) if number >= header), len(rows))
            is_there = first < len(rows) and numbers[first] == header
            names = names_in(rows[first]) if is_there else []
            self._places = places_of(names, self._name, self._mapping)
            self._width = len(names)
            numbers, rows = numbers[first + 1 :], rows[first + 1 :]
        if rows:
            self._read(numbers, rows, chunk.troubles)

    def done(self, notes: tuple[SettlementNote, ...] = ()) -> SettlementRows:
        """The rows of all chunks, and what was noticed beside ``notes``.

        :raises MissingColumnsError: when there was no row at all.
        """
        if not self._places:
            places_of([], self._name, self._mapping)
        frame = pd.concat(self._frames, ignore_index=True) if self._frames else _frame_of({}, 0)
        frame, footer_note = self._without_footer(frame)
        return SettlementRows(
            frame,
            "product_code" in self._places,
            "client_number" in self._places,
            tuple(self._totals),
            (*notes, *footer_note, *_judged(self._totals, frame), *self._moment_note()),
        )

    def _read(self, numbers: Sequence[int], rows: list[list[str]], troubles: dict[int, str]) -> None:
        troubles = dict(troubles)
        self._level(numbers, rows, troubles)
        texts = {ours: list(map(str.strip, map(itemgetter(at), rows))) for ours, at in self._places.items()}
        ids = texts["request_id"]
        if self._mapping.footer_rows:
            self._last_rows.extend(
                number for number, row in zip(numbers, rows, strict=True) if any(map(str.strip, row))
            )
        is_footer, chosen = self._footer.match, range(len(rows))
        odd = [at for at, request_id in enumerate(ids) if not request_id or is_footer(request_id)]
        left_out = {at for at in odd if self._is_left_out(at, numbers[at], rows[at], texts, troubles)}
        if left_out:
            kept = [at for at in chosen if at not in left_out]
            texts = {ours: [column[at] for at in kept] for ours, column in texts.items()}
            numbers = [numbers[at] for at in kept]
        if len(numbers):
            self._frames.append(self._frame(numbers, texts, troubles))

    def _level(self, numbers: Sequence[int], rows: list[list[str]], troubles: dict[int, str]) -> None:
        """Make all rows as wide as the header; what does not fit is a row's trouble."""
        width = self._width
        if set(map(len, rows)) <= {width}:
            return
        for at, row in enumerate(rows):
            if len(row) < width:
                rows[at] = row + [""] * (width - len(row))
            elif len(row) > width and any(map(str.strip, row[width:])):
                troubles.setdefault(numbers[at], EXTRA_CELLS)

    def _is_left_out(
        self, at: int, number: int, row: list[str], texts: dict[str, list[str]], troubles: dict[int, str]
    ) -> bool:
        """Whether a row is blank where the mapping looks, or a total."""
        cells = {ours: column[at] for ours, column in texts.items()}
        if number in troubles:
            return False
        if not any(cells.values()) and self._footer.match(_first_of(row)) is None:
            return True
        label = cells["request_id"] or _first_of(row)
        found = self._footer.match(label)
        # With a status it is about an order, unless nothing but a total has such a name.
        is_said = bool(self._standings[cells.get("status", ""), cells.get("kind", "")].status)
        is_said &= self._mapping.status is not None
        if found is None or (is_said and found.end() < len(label)):
            return False
        self._totals.append(TotalRow(number, self._amounts[cells["amount"]]))
        return True

    def _frame(
        self, numbers: Sequence[int], texts: dict[str, list[str]], troubles: dict[int, str]
    ) -> pd.DataFrame:
        count = len(numbers)
        rupiah = list(map(self._amounts.__getitem__, texts["amount"]))
        blank = [""] * count
        words = zip(texts.get("status", blank), texts.get("kind", blank), strict=True)
        standings = list(map(self._standings.__getitem__, words))
        why = self._troubles(numbers, texts, rupiah, standings, troubles)
        is_refunding = self._mapping.negative_is_refund
        kinds = list(map(kind_of, standings, rupiah, repeat(is_refunding)))
        statuses = [standing.status for standing in standings]
        signed = [amount or 0 for amount in rupiah]
        for at, kind in enumerate(kinds):
            if kind is RowKind.REFUND:
                signed[at] = -abs(signed[at])
                if statuses[at] == "failed":
                    statuses[at] = "succeeded"
        columns: dict[str, object] = {
            "file_row": np.fromiter(numbers, "int64", count),
            "request_id": texts["request_id"],
            "rupiah": np.fromiter(signed, "int64", count),
            "kind": kinds,
            "status": statuses,
            "product_code": texts.get("product_code", ""),
            "trouble": why,
        }
        if "client_number" in texts:
            clients = list(map(self._client_number, texts["client_number"]))
            columns["client_mark"], columns["client_alternative"], columns["client_shown"] = zip(
                *clients, strict=True
            )
        if "moment" in texts:
            moments = moments_of(self._mapping, texts["moment"])
            columns["moment"] = moments
            self._unread_moments += moments.count(None)
        return _frame_of(columns, count)

    def _troubles(
        self,
        numbers: Sequence[int],
        texts: dict[str, list[str]],
        rupiah: list[int | None],
        standings: list[Standing],
        troubles: dict[int, str],
    ) -> list[str]:
        """Why each row is set aside; what stands before outranks what follows."""
        usable, ids, amounts = REQUEST_ID.fullmatch, texts["request_id"], texts["amount"]
        why = [
            ""
            if usable(request_id) and amount is not None and standing.status
            else (NO_USABLE_ID if request_id and not usable(request_id) else "")
            or ("" if request_id else NO_REQUEST_ID)
            or (self._amounts.trouble(text) if amount is None else UNKNOWN_STATUS)
            for request_id, text, amount, standing in zip(ids, amounts, rupiah, standings, strict=True)
        ]
        for column in (ids, texts.get("product_code", [])):
            # What no report and no database can hold.
            if _UNREADABLE.search("".join(column)) or max(map(len, column), default=0) > MAXIMUM_CHARACTERS:
                for at, text in enumerate(column):
                    if _UNREADABLE.search(text) or len(text) > MAXIMUM_CHARACTERS:
                        column[at] = ""
                        why[at] = why[at] if column is ids else UNREADABLE_TEXT
        if troubles:
            for at, number in enumerate(numbers):
                why[at] = troubles.get(number, why[at])
        return why

    def _without_footer(self, frame: pd.DataFrame) -> tuple[pd.DataFrame, list[SettlementNote]]:
        """The frame without the last rows that the mapping calls a footer. A row that reads as an order
        stays: a file may come without its footer."""
        if not self._last_rows:
            return frame, []
        is_last = frame["file_row"] >= self._last_rows[0]
        is_order = is_last & (frame["trouble"] == "")
        for number in frame["file_row"][is_last & ~is_order]:
            self._totals.append(TotalRow(int(number), None))
        notes = []
        if is_order.any():
            found = ", ".join(map(str, frame["file_row"][is_order]))
            text = f"row {found}: reads as an order among the last rows that the mapping calls a footer; kept"
            notes.append(SettlementNote(NoteKind.FOOTER, text, is_doubt=True))
        return frame[~is_last | is_order].reset_index(drop=True), notes

    def _moment_note(self) -> list[SettlementNote]:
        if not self._unread_moments:
            return []
        order = self._mapping.date_order.value
        text = f"{self._unread_moments:,} rows have no moment that can be read {order}"
        return [SettlementNote(NoteKind.MOMENTS, text)]


def _judged(totals: Sequence[TotalRow], frame: pd.DataFrame) -> list[SettlementNote]:
    """What totals say about the rows above them: the sum of the sales, or what refunds leave of it, of all
    rows or of those since the last total; or their count."""
    notes: list[SettlementNote] = []
    good = frame[frame["trouble"] == ""]
    before = 0
    for total in totals[:MAXIMUM_TOTALS_JUDGED]:
        above = good[good["file_row"] < total.file_row]
        if total.rupiah is None:
            text = f"row {total.file_row} is a total or footer without an amount"
            notes.append(SettlementNote(NoteKind.TOTALS, text))
            continue
        sums = set()
        for rows in (above, above[above["file_row"] > before]):
            is_sale = rows["kind"] == RowKind.SALE.value
            is_paid = rows["status"] == "succeeded"
            for chosen in (rows, rows[is_paid], rows[is_sale], rows[is_sale & is_paid]):
                sums |= {int(chosen["rupiah"].sum()), int(chosen["rupiah"].abs().sum()), len(chosen)}
        before = total.file_row
        text = f"row {total.file_row} is a total of Rp{total.rupiah:,}"
        if total.rupiah in sums:
            notes.append(SettlementNote(NoteKind.TOTALS, f"{text}; the rows above agree"))
        elif len(good) < len(frame):
            notes.append(
                SettlementNote(NoteKind.TOTALS, f"{text}; some rows are set aside, so it is not compared")
            )
        else:
            found = f"{text}; the rows above it add up to Rp{int(above['rupiah'].sum()):,}"
            notes.append(SettlementNote(NoteKind.TOTALS, found, is_doubt=True))
    if len(totals) > MAXIMUM_TOTALS_JUDGED:
        more = f"{len(totals) - MAXIMUM_TOTALS_JUDGED:,} more rows are totals or footers"
        notes.append(SettlementNote(NoteKind.TOTALS, more))
    return notes


def _footer_pattern(mapping: SettlementMapping) -> re.Pattern[str]:
    words = sorted(mapping.footer_words, key=len, reverse=True)
    if not words:
        return re.compile("(?!)")
    # With what may follow a word: nothing, or something that is no part of a word or of an id.
    return re.compile(rf"(?i)(?:{'|'.join(map(re.escape, words))})\s*:?(?:$|(?=[\s:(=]))")


def _first_of(row: Sequence[str]) -> str:
    return next((cell.strip() for cell in row if cell.strip()), "")


def _frame_of(columns: dict[str, object], count: int) -> pd.DataFrame:
    frame = pd.DataFrame(columns, index=range(count)) if columns else pd.DataFrame(index=range(0))
    for name, dtype in _FRAME.items():
        if name not in frame:
            frame[name] = pd.Series(_NOTHING[dtype], index=frame.index, dtype=dtype)
    return frame[list(_FRAME)].astype(_FRAME)
