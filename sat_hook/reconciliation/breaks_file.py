"""The breaks and the orders of a closed day as CSV: UTF-8 with BOM, CRLF, moments in WIB.

Text that a spreadsheet would run as a formula gets a leading apostrophe. Amounts are plain whole rupiah.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import IO

import numpy as np
import pandas as pd

from sat_hook.domain.business_day import WIB, in_wib
from sat_hook.presentation.spreadsheet_csv import SpreadsheetWriter, neutral
from sat_hook.reconciliation.model import ORDER_COLUMNS, Break, DayClose

BREAK_COLUMNS = (
    "break_id",
    "state",
    "category",
    "match",
    "day",
    "first_seen",
    "age_days",
    "age_band",
    "carried_on",
    "prior_period_adjustment",
    "order_id",
    "request_id",
    "what",
    "ours",
    "theirs",
    "amount_rupiah",
    "size_rupiah",
    "reason",
    "decided_by",
    "decided_at_wib",
    "log_positions",
    "file_name",
    "file_rows",
    "file_digest",
    "response_digest",
)
"""The columns of the breaks, here and in the workbook."""

_BYTE_ORDER_MARK = "\ufeff"
_ORDERS_AT_A_TIME = 50_000
_TO_BE_QUOTED = '",\r\n'
_WIB_OFFSET = np.timedelta64(WIB.utcoffset(None), "s")


def render_breaks(close: DayClose) -> bytes:
    """Return the day's breaks as CSV, one line each."""
    out = io.StringIO(newline="")
    out.write(_BYTE_ORDER_MARK)
    writer = SpreadsheetWriter(out)
    writer.row(BREAK_COLUMNS)
    for item in close.breaks:
        writer.row(break_cells(item, close))
    return out.getvalue().encode("utf-8")


def break_cells(item: Break, close: DayClose) -> tuple[str | int, ...]:
    """Return the cells of a break under :data:`BREAK_COLUMNS`, not neutralised; numbers are numbers."""
    return (
        item.break_id,
        item.state.value,
        item.category.value,
        item.match.value,
        item.day.isoformat(),
        item.first_seen.isoformat(),
        item.age_days(close.day),
        item.age_band(close.day),
        yes_or_no(not item.state.is_final),
        yes_or_no(item.is_adjustment),
        item.order_id or "",
        item.request_id or "",
        item.what,
        item.ours,
        item.theirs,
        item.amount_rupiah,
        abs(item.amount_rupiah),
        item.reason or "",
        item.actor or "",
        in_wib(item.decided_at),
        _listed(item.evidence.positions),
        item.evidence.file_name or "",
        _listed(item.evidence.file_rows),
        item.evidence.file_digest or "",
        item.evidence.response_digest or "",
    )


def write_orders(orders: pd.DataFrame, out: IO[bytes]) -> None:
    """Write the day's orders as CSV in parts: a million of them need no second copy in memory."""
    names = [f"{name}_wib" if _is_moment(name) else name for name in ORDER_COLUMNS]
    out.write((_BYTE_ORDER_MARK + ",".join(names) + "\r\n").encode("utf-8"))
    # Filling a template takes half the time of the csv module; only text may need quotes.
    row = ",".join(["%s"] * len(ORDER_COLUMNS)) + "\r\n"
    for start in range(0, len(orders), _ORDERS_AT_A_TIME):
        columns = [_quoted(cells) for cells in order_columns(orders.iloc[start : start + _ORDERS_AT_A_TIME])]
        out.write("".join([row % cells for cells in zip(*columns, strict=True)]).encode("utf-8"))


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
            columns.append([neutral(word) for word in column.fillna("").tolist()])
        elif kind == "bool":
            columns.append([yes_or_no(value) for value in column.tolist()])
        else:
            columns.append(column.tolist())
    return columns


def _quoted(cells: list[str] | list[int]) -> Sequence[str | int]:
    """Return the cells of a column as written in CSV."""
    texts = [cell for cell in cells if isinstance(cell, str)]
    whole = "".join(texts)
    if not any(mark in whole for mark in _TO_BE_QUOTED):
        return cells
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
