"""Reads a settlement file's rows into a frame, chunk by chunk: each row good, set aside with a reason, or a
total.

Totals are compared with the rows.
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Sequence
from itertools import repeat
from operator import itemgetter
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sat_hook.domain.partitions import WHOLE, Partition
from sat_hook.domain.rupiah import recorded_rupiah
from sat_hook.domain.settlement_mapping import MAXIMUM_HEADER_ROW, RowKind, SettlementMapping
from sat_hook.reconciliation.errors import SettlementRefusedError
from sat_hook.reconciliation.settlement_cells import (
    EXTRA_CELLS,
    MOBILE_NUMBER,
    NO_REQUEST_ID,
    NO_RUPIAH,
    NO_USABLE_ID,
    OUR_REQUEST_ID,
    REQUEST_ID,
    UNKNOWN_STATUS,
    UNREADABLE_TEXT,
    Amounts,
    Standings,
    client_numbers_of,
    moments_of,
)
from sat_hook.reconciliation.settlement_csv import Chunk
from sat_hook.reconciliation.settlement_header import names_in, places_of
from sat_hook.reconciliation.settlement_rows import NoteKind, SettlementNote, SettlementRows, TotalRow

MAXIMUM_ROWS = 5_000_000
MAXIMUM_CHARACTERS = 200
"""Maximum length of an id or a product code; a longer text is not one."""
MAXIMUM_SAMPLES, FIRST_SAMPLES = 200, 10
_UNREADABLE = re.compile("[\x00\ud800-\udfff]")
_FRAME = {
    "is_kept": "bool",
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
_NOTHING = {"bool": True, "int64": 0, "str": "", "datetime64[us, UTC]": pd.NaT}


class RowReader:
    """Reads the chunks of a file by a mapping, from its header on.

    :param name: of the file, for messages.
    :param partition: only its rows are kept. Totals and notes are those of the whole file.
    """

    def __init__(self, name: str, mapping: SettlementMapping, partition: Partition = WHOLE) -> None:
        self._name, self._mapping, self._partition = name, mapping, partition
        self._amounts, self._standings = Amounts(mapping), Standings(mapping)
        self._footer = _footer_pattern(mapping)
        self._width = 0
        self._places: dict[str, int] = {}
        self._arrays: dict[str, list[NDArray[Any]]] = defaultdict(list)
        self._texts: dict[str, list[str]] = defaultdict(list)
        self._reasons = [""]
        self._samples: dict[int, dict[str, str]] = {}
        self._totals: list[TotalRow] = []
        self._last_rows: deque[int] = deque(maxlen=mapping.footer_rows)
        self._unread_moments = 0
        self.first_rows: list[tuple[int, list[str]]] = []

    def add(self, chunk: Chunk) -> None:
        """Read some rows.

        :raises MissingColumnsError: at the header, when it lacks a column of the mapping.
        :raises SettlementRefusedError: there are more rows than the limit.
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
        """Return the rows of all chunks, with notes added to ``notes``.

        :raises MissingColumnsError: there was no row at all.
        """
        if not self._places:
            places_of([], self._name, self._mapping)
        frame, footer_note = self._without_footer(self._frame())
        kept = frame.pop("is_kept")
        return SettlementRows(
            frame if self._partition.count == 1 else frame[kept].reset_index(drop=True),
            "product_code" in self._places,
            "client_number" in self._places,
            tuple(self._totals),
            (*notes, *footer_note, *judge_totals(self._totals, frame), *self._moment_note()),
            int(frame["rupiah"].sum()),
            self._samples,
        )

    def _read(self, numbers: Sequence[int], rows: list[list[str]], troubles: dict[int, str]) -> None:
        troubles = dict(troubles)
        self._level(numbers, rows, troubles)
        texts = {ours: list(map(str.strip, map(itemgetter(at), rows))) for ours, at in self._places.items()}
        if self._mapping.footer_rows:
            self._last_rows.extend(
                number for number, row in zip(numbers, rows, strict=True) if any(map(str.strip, row))
            )
        odd = _odd(texts["request_id"])
        left_out = {at for at in odd if self._is_left_out(at, numbers[at], rows[at], texts, troubles)}
        if left_out:
            kept = [at for at in range(len(rows)) if at not in left_out]
            texts = {ours: [column[at] for at in kept] for ours, column in texts.items()}
            numbers = [numbers[at] for at in kept]
        if len(numbers):
            self._keep(numbers, texts, _odd(texts["request_id"]) if left_out else odd, troubles)

    def _level(self, numbers: Sequence[int], rows: list[list[str]], troubles: dict[int, str]) -> None:
        """Make all rows as wide as the header. A row that does not fit is in trouble."""
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
        """Whether a row is blank in the mapped columns, or a total."""
        cells = {ours: column[at] for ours, column in texts.items()}
        if number in troubles:
            return False
        first = _first_of(row)
        if not any(cells.values()) and self._footer.match(first) is None:
            return True
        # A total may have its number of rows beside its word.
        is_count = bool(cells["request_id"]) and not any(map(str.isalpha, cells["request_id"]))
        label = first if is_count else cells["request_id"] or first
        found = self._footer.match(label)
        # A row with a status is about an order, unless only a total has such a name.
        words = (cells.get("status", ""), cells.get("kind", ""))
        is_said = (
            self._mapping.status is not None and self._standings.said[self._standings[words]].status != ""
        )
        if found is None or (is_said and (is_count or found["plural"] or found.end() < len(label))):
            return False
        rupiah = self._amounts[cells["amount"]]
        self._totals.append(TotalRow(number, None if rupiah == NO_RUPIAH else rupiah))
        return True

    def _keep(
        self, numbers: Sequence[int], texts: dict[str, list[str]], odd: list[int], troubles: dict[int, str]
    ) -> None:
        """Keep rows as columns: no text of an amount, a status or a client number stays in memory."""
        count = len(numbers)
        rupiah = np.fromiter(map(self._amounts.__getitem__, texts["amount"]), "int64", count)
        words = zip(texts.get("status", repeat("", count)), texts.get("kind", repeat("", count)), strict=True)
        standings = np.fromiter(map(self._standings.__getitem__, words), "int8", count)
        has_amount, said = rupiah != NO_RUPIAH, self._standings.said
        rupiah[~has_amount] = 0
        is_refund = np.array([standing.is_refund for standing in said])[standings]
        if self._mapping.negative_is_refund:
            is_refund |= rupiah < 0
        rupiah[is_refund] = -np.abs(rupiah[is_refund])
        is_unknown = np.array([not standing.status for standing in said])[standings]
        why = np.where(is_unknown, self._reason(UNKNOWN_STATUS), 0).astype("int8")
        for at in np.flatnonzero(~has_amount).tolist():
            why[at] = self._reason(self._amounts.trouble(texts["amount"][at]))
        self._judge_texts(texts, odd, why)
        for at, number in enumerate(numbers) if troubles else ():
            if number in troubles:
                why[at] = self._reason(troubles[number])
        is_kept = np.array(self._partition.holds(texts["request_id"]))
        whole = texts
        if not is_kept.all():
            # Of the rows of other partitions, only numbers stay in memory.
            texts = {
                ours: [text if is_own else "" for text, is_own in zip(column, is_kept.tolist(), strict=True)]
                for ours, column in texts.items()
            }
        self._texts["request_id"] += texts["request_id"]
        self._texts["product_code"] += texts.get("product_code", ())
        arrays: dict[str, Any] = {
            "is_kept": is_kept,
            "file_row": np.fromiter(numbers, "int64", count),
            "rupiah": rupiah,
            "standing": standings,
            "is_refund": is_refund,
            "trouble": why,
        }
        if "client_number" in texts:
            clients = client_numbers_of(self._mapping, texts["client_number"])
            arrays["client_mark"] = clients.marks
            arrays["client_alternative"] = clients.alternatives
            self._texts["client_shown"] += clients.shown
        if "moment" in texts:
            moments = moments_of(self._mapping, whole["moment"])
            arrays["moment"] = np.array(moments, dtype="datetime64[us]")
            self._unread_moments += int(np.isnat(arrays["moment"]).sum())
        for name, array in arrays.items():
            self._arrays[name].append(array)
        first = range(min(count, FIRST_SAMPLES - len(self._samples)))
        for at in (*first, *np.flatnonzero(why)[: max(0, MAXIMUM_SAMPLES - len(self._samples))].tolist()):
            self._samples[numbers[at]] = {ours: column[at] for ours, column in whole.items()}

    def _judge_texts(self, texts: dict[str, list[str]], odd: list[int], why: NDArray[np.int8]) -> None:
        """Check that ids are usable and texts can be kept: no report or database holds every character."""
        ids, products = texts["request_id"], texts.get("product_code", [])
        if products and (not _is_plain(products) or max(map(len, products)) > MAXIMUM_CHARACTERS):
            for at, product in enumerate(products):
                if _UNREADABLE.search(product) or len(product) > MAXIMUM_CHARACTERS:
                    products[at], why[at] = "", self._reason(UNREADABLE_TEXT)
        for at in odd:
            if not ids[at]:
                why[at] = self._reason(NO_REQUEST_ID)
            elif not self._is_usable(ids[at]):
                why[at] = self._reason(NO_USABLE_ID)
                if _UNREADABLE.search(ids[at]) or len(ids[at]) > MAXIMUM_CHARACTERS:
                    ids[at] = ""

    def _is_usable(self, request_id: str) -> bool:
        """Whether a text may be a request id. A customer's number may not. If no status shows that the row is
        about an order, neither may a text without a digit, which names a total or a part of the file."""
        if REQUEST_ID.fullmatch(request_id) is None:
            return False
        if self._mapping.reads_as_before:
            return True
        has_digit = self._mapping.status is not None or any(map(str.isdigit, request_id))
        return has_digit and MOBILE_NUMBER.fullmatch(request_id) is None

    def _reason(self, trouble: str) -> int:
        if trouble not in self._reasons:
            self._reasons.append(trouble)
        return self._reasons.index(trouble)

    def _frame(self) -> pd.DataFrame:
        arrays = {name: np.concatenate(parts) for name, parts in self._arrays.items() if parts}
        if not arrays:
            return pd.DataFrame({name: pd.Series([], dtype=dtype) for name, dtype in _FRAME.items()})
        statuses = np.array([standing.status for standing in self._standings.said], dtype=object)
        status, is_refund = statuses[arrays.pop("standing")], arrays.pop("is_refund")
        kinds = np.array(
            [kind.value for kind in (RowKind.SALE, RowKind.UNKNOWN, RowKind.REFUND)], dtype=object
        )
        columns: dict[str, Any] = {
            **arrays,
            **{name: texts for name, texts in self._texts.items() if texts},
            "kind": kinds[np.where(is_refund, 2, status == "")],
            # A refund is done or pending; the failure of its sale is another matter.
            "status": np.where(is_refund & (status == "failed"), "succeeded", status),
            "trouble": np.array(self._reasons, dtype=object)[arrays["trouble"]],
        }
        index = pd.RangeIndex(len(arrays["file_row"]))
        if "moment" in columns:
            columns["moment"] = pd.Series(columns["moment"]).dt.tz_localize("UTC")
        return pd.DataFrame(
            {
                name: pd.Series(columns.get(name, _NOTHING[dtype]), index=index, dtype=dtype)
                for name, dtype in _FRAME.items()
            }
        )

    def _without_footer(self, frame: pd.DataFrame) -> tuple[pd.DataFrame, list[SettlementNote]]:
        """Return the frame without the last rows that the mapping calls a footer. A row that reads as an
        order stays: a file may come without its footer."""
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
        text = f"rows without a moment that can be read {order}: {self._unread_moments:,}"
        return [SettlementNote(NoteKind.MOMENTS, text)]


def _footer_pattern(mapping: SettlementMapping) -> re.Pattern[str]:
    """Return the pattern of a word for a total, however its parts are joined. After it may come only marks,
    or something that is not part of a word or of an id."""
    words = sorted(mapping.footer_words, key=len, reverse=True)
    if not words:
        return re.compile("(?!)")
    parts = [re.findall(r"[^\s._-]+", word) or [word] for word in words]
    joined = ["[\\s._-]*".join(map(re.escape, of_word)) for of_word in parts]
    return re.compile(rf"(?i)[\W_]*(?:{'|'.join(joined)})(?P<plural>s)?(?:[\W_]*$|\s*[.:]?(?=[\s:\uff1a(=]))")


def _first_of(row: Sequence[str]) -> str:
    return next((cell.strip() for cell in row if cell.strip()), "")


def _odd(request_ids: list[str]) -> list[int]:
    """Return the places of texts that do not look like our request ids."""
    is_ours = OUR_REQUEST_ID.fullmatch
    return [at for at, request_id in enumerate(request_ids) if not is_ours(request_id)]


def _is_plain(texts: list[str]) -> bool:
    """Whether all texts have only characters that can be kept; one fast check decides nearly all cases."""
    together = "".join(texts)
    return together.isascii() and "\x00" not in together


MAXIMUM_TOTALS_JUDGED = 50


def judge_totals(totals: Sequence[TotalRow], frame: pd.DataFrame) -> list[SettlementNote]:
    """Compare totals with the rows above them: the sum of the sales, or of sales less refunds, of all rows or
    of those since the last total; or their number."""
    good = frame[frame["trouble"] == ""]
    agreed: list[str] = []
    doubtful: list[str] = []
    before = 0
    for total in totals[:MAXIMUM_TOTALS_JUDGED]:
        above = good[good["file_row"] < total.file_row]
        text = f"row {total.file_row} is a total or footer"
        if total.rupiah is None:
            agreed.append(f"{text} without an amount")
            continue
        text += f" of {recorded_rupiah(total.rupiah)}"
        sums = _sums_of(above) | _sums_of(above[above["file_row"] > before])
        before = total.file_row
        if total.rupiah in sums:
            agreed.append(f"{text}; the rows above agree")
        elif len(good) < len(frame):
            agreed.append(f"{text}; it is not compared, because some rows are set aside")
        else:
            doubtful.append(
                f"{text}; the rows above it add up to {recorded_rupiah(int(above['rupiah'].sum()))}"
            )
    if len(totals) > MAXIMUM_TOTALS_JUDGED:
        agreed.append(f"{len(totals) - MAXIMUM_TOTALS_JUDGED:,} more rows are totals or footers")
    notes = [SettlementNote(NoteKind.TOTALS, text) for text in agreed]
    if doubtful:
        more = f", and {len(doubtful) - 1:,} more totals do not agree" if len(doubtful) > 1 else ""
        notes.append(SettlementNote(NoteKind.TOTALS, doubtful[0] + more, is_doubt=True))
    return notes


def _sums_of(rows: pd.DataFrame) -> set[int]:
    """Return the values that a total of rows may have: their sums, signed or not, and their number."""
    is_sale, is_paid = rows["kind"] == RowKind.SALE.value, rows["status"] == "succeeded"
    found = set()
    for chosen in (rows, rows[is_paid], rows[is_sale], rows[is_sale & is_paid]):
        found |= {int(chosen["rupiah"].sum()), int(chosen["rupiah"].abs().sum()), len(chosen)}
    return found
