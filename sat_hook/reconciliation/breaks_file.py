"""The breaks and the orders of a closed day as CSV: UTF-8 with BOM, CRLF, moments in WIB.

Text that a spreadsheet would run as a formula gets a leading apostrophe. Amounts are plain whole rupiah.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from typing import IO, cast

import numpy as np
import pandas as pd

from sat_hook.domain.business_day import WIB, in_wib
from sat_hook.presentation.language import marked as _
from sat_hook.presentation.sheets import Column, Kind
from sat_hook.presentation.spreadsheet_csv import SpreadsheetWriter, neutral, neutral_cells
from sat_hook.reconciliation.day_figures import Places
from sat_hook.reconciliation.model import ORDER_COLUMNS, Break, DayClose

BREAK_COLUMNS: dict[str, tuple[Column, Callable[[Break, DayClose], str | int]]] = {
    "break_id": (Column(_("Break"), 22, Kind.TEXT), lambda item, _day: item.break_id),
    "state": (Column(_("State"), 16, Kind.WORD), lambda item, _day: item.state.value),
    "category": (Column(_("Category"), 22, Kind.WORD), lambda item, _day: item.category.value),
    "match": (Column(_("Match"), 17, Kind.WORD), lambda item, _day: item.match.value),
    "day": (Column(_("Day"), 12, Kind.DAY), lambda item, _day: item.day.isoformat()),
    "first_seen": (Column(_("First seen"), 12, Kind.DAY), lambda item, _day: item.first_seen.isoformat()),
    "age_days": (Column(_("Age (days)"), 8, Kind.COUNT), lambda item, close: item.age_days(close.day)),
    "age_band": (Column(_("Age band"), 18, Kind.WORD), lambda item, close: item.age_band(close.day)),
    "carried_on": (
        Column(_("Carried on"), 9, Kind.WORD),
        lambda item, _day: yes_or_no(not item.state.is_final),
    ),
    "prior_period_adjustment": (
        Column(_("Prior period"), 9, Kind.WORD),
        lambda item, _day: yes_or_no(item.is_adjustment),
    ),
    "order_id": (Column(_("Order"), 18, Kind.TEXT), lambda item, _day: item.order_id or ""),
    "request_id": (Column(_("Request id"), 36, Kind.TEXT), lambda item, _day: item.request_id or ""),
    "what": (Column(_("What"), 52, Kind.PROSE), lambda item, _day: item.what),
    "ours": (Column(_("Ours"), 16, Kind.WORD), lambda item, _day: item.ours),
    "theirs": (Column(_("Theirs"), 16, Kind.WORD), lambda item, _day: item.theirs),
    "amount_rupiah": (
        Column(_("Amount (Rp), theirs less ours"), 20, Kind.RUPIAH),
        lambda item, _day: item.amount_rupiah,
    ),
    "size_rupiah": (Column(_("Size (Rp)"), 20, Kind.RUPIAH), lambda item, _day: abs(item.amount_rupiah)),
    "reason": (Column(_("Reason"), 40, Kind.PROSE), lambda item, _day: item.reason or ""),
    "decided_by": (Column(_("Decided by"), 20, Kind.TEXT), lambda item, _day: item.actor or ""),
    "decided_at_wib": (
        Column(_("Decided (WIB)"), 19, Kind.MOMENT),
        lambda item, _day: in_wib(item.decided_at),
    ),
    "log_positions": (
        Column(_("Log positions"), 14, Kind.TEXT),
        lambda item, _day: _listed(item.evidence.positions),
    ),
    "file_name": (Column(_("File"), 30, Kind.TEXT), lambda item, _day: item.evidence.file_name or ""),
    "file_rows": (
        Column(_("Rows of the file"), 12, Kind.TEXT),
        lambda item, _day: _listed(item.evidence.file_rows),
    ),
    "file_digest": (
        Column(_("SHA-256 of the file"), 20, Kind.TEXT),
        lambda item, _day: item.evidence.file_digest or "",
    ),
    "response_digest": (
        Column(_("SHA-256 of the answer"), 20, Kind.TEXT),
        lambda item, _day: item.evidence.response_digest or "",
    ),
}
"""The columns of the breaks, in the CSV and in the workbook: how a sheet shows each, and its cell."""

_BYTE_ORDER_MARK = "\ufeff"
_ORDERS_AT_A_TIME = 50_000
_TO_BE_QUOTED = '",\r\n'
_WIB_OFFSET = np.timedelta64(WIB.utcoffset(None), "s")


def render_breaks(close: DayClose) -> bytes:
    """Return the day's breaks as CSV, one line each."""
    out = io.StringIO(newline="")
    out.write(_BYTE_ORDER_MARK)
    writer = SpreadsheetWriter(out)
    writer.row(tuple(BREAK_COLUMNS))
    for item in close.breaks:
        writer.row(break_cells(item, close))
    return out.getvalue().encode("utf-8")


def break_cells(item: Break, close: DayClose) -> tuple[str | int, ...]:
    """Return the cells of a break under :data:`BREAK_COLUMNS`, not neutralised; numbers are numbers."""
    return tuple(cell(item, close) for _, cell in BREAK_COLUMNS.values())


def write_orders(
    orders: pd.DataFrame,
    out: IO[bytes],
    places: Places | None = None,
    counts: Sequence[int] | None = None,
) -> list[int]:
    """Write the day's orders as CSV in parts: a million of them need no second copy in memory.

    :param places: in which order they are written; None writes them as they are.
    :param counts: how many rows each group has; groups follow each other. By default there is one group.
    :returns: how many bytes the titles have, and the rows of each group.
    """
    names = [f"{name}_wib" if _is_moment(name) else name for name in ORDER_COLUMNS]
    sizes = [out.write((_BYTE_ORDER_MARK + ",".join(names) + "\r\n").encode("utf-8"))]
    # Joining texts takes a fifth of the time of the csv module; only text may need quotes.
    first = 0
    for count in (len(orders),) if counts is None else counts:
        sizes.append(0)
        for start in range(first, first + count, _ORDERS_AT_A_TIME):
            stretch = slice(start, min(start + _ORDERS_AT_A_TIME, first + count))
            part = orders.iloc[stretch if places is None else places[stretch]]
            columns = [_quoted(cells) for cells in order_columns(part)]
            lines = [*map(",".join, zip(*columns, strict=True)), ""]
            sizes[-1] += out.write("\r\n".join(lines).encode("utf-8"))
        first += count
    return sizes


def order_columns(orders: pd.DataFrame) -> list[list[str] | list[int]]:
    """Return the order columns as cells for a spreadsheet: neutral text, whole numbers, moments in WIB."""
    columns: list[list[str] | list[int]] = []
    for name, kind in ORDER_COLUMNS.items():
        column = orders[name]
        if _is_moment(name):
            columns.append(_moments(column))
        elif kind == "category":
            # One word per category instead of per order. The code of a missing value is -1, the last word.
            words = np.array([*(neutral(str(word)) for word in column.cat.categories), ""], dtype=object)
            columns.append(words[column.cat.codes.to_numpy()].tolist())
        elif kind == "str":
            columns.append(neutral_cells(column.fillna("").tolist()))
        elif kind == "bool":
            columns.append([yes_or_no(value) for value in column.tolist()])
        else:
            columns.append(column.tolist())
    return columns


def _quoted(cells: list[str] | list[int]) -> Sequence[str]:
    """Return the cells of a column as written in CSV."""
    if cells and isinstance(cells[0], int):
        # Most amounts are prices of a few products.
        words = {number: str(number) for number in set(cells)}
        return list(map(words.__getitem__, cells))
    texts = cast("list[str]", cells)
    whole = "".join(texts)
    if not any(mark in whole for mark in _TO_BE_QUOTED):
        return texts
    return [
        '"' + text.replace('"', '""') + '"' if any(mark in text for mark in _TO_BE_QUOTED) else text
        for text in texts
    ]


def _moments(column: pd.Series) -> list[str]:
    at = column.dt.tz_localize(None).to_numpy().astype("datetime64[s]") + _WIB_OFFSET
    words = np.datetime_as_string(at)
    if len(words):
        # 2026-11-22T10:00:00: every word has its T at the same place.
        words.view("U1").reshape(len(words), -1)[:, 10] = " "
    words[np.isnat(at)] = ""
    told: list[str] = words.tolist()
    return told


def yes_or_no(value: bool) -> str:
    """Return a truth value as a word."""
    return "yes" if value else "no"


def _is_moment(name: str) -> bool:
    return ORDER_COLUMNS[name].startswith("datetime64")


def _listed(numbers: Iterable[int]) -> str:
    return " ".join(map(str, numbers))
