"""Checks whether the totals of a settlement file agree with its rows."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from sat_hook.domain.rupiah import tight_rupiah
from sat_hook.domain.settlement_mapping import RowKind
from sat_hook.reconciliation.settlement_rows import NoteKind, SettlementNote, TotalRow

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
        text += f" of {tight_rupiah(total.rupiah)}"
        sums = _sums_of(above) | _sums_of(above[above["file_row"] > before])
        before = total.file_row
        if total.rupiah in sums:
            agreed.append(f"{text}; the rows above agree")
        elif len(good) < len(frame):
            agreed.append(f"{text}; it is not compared, because some rows are set aside")
        else:
            doubtful.append(f"{text}; the rows above it add up to {tight_rupiah(int(above['rupiah'].sum()))}")
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
