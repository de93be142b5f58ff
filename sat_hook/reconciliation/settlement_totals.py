"""Whether the totals of a settlement file agree with its rows."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from sat_hook.domain.settlement_mapping import RowKind
from sat_hook.reconciliation.settlement_rows import NoteKind, SettlementNote, TotalRow

MAXIMUM_TOTALS_JUDGED = 50


def judge_totals(totals: Sequence[TotalRow], frame: pd.DataFrame) -> list[SettlementNote]:
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
