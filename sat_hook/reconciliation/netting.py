"""Adds refunds, which are rows of their own in settlement files, to the sale that they are about.

A sale and a refund of the same amount cancel out; a smaller refund leaves a smaller charge. If more than one
sale is left for an order, none of its rows is paired. A refund whose sale is in the file of another day stays
a row of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from sat_hook.domain.settlement_mapping import RowKind

_NETTED = 1 << 62
"""Added to the place of a netted row, which comes after all others."""
REFUNDED = "failed"
"""The status of an order whose rows in the file add up to nothing, the same as for a failed one."""


def sold(frame: pd.DataFrame) -> pd.Series[str]:
    """Return the request ids of a file's rows that are not refunds."""
    ids: pd.Series[str] = frame.loc[frame["kind"] != RowKind.REFUND.value, "request_id"]
    return ids


def taken_of(orders: pd.DataFrame, files: Sequence[pd.DataFrame]) -> pd.Series[int]:
    """Return what the rows of several files charge for some orders. An order whose sale is in none of them
    counts as charged, as it stands in ``orders``."""
    taken = orders.set_index("request_id")["charged_rupiah"].astype("int64")
    for frame in files:
        taken[taken.index.isin(sold(frame[_takes(frame)]))] = 0
    for frame in files:
        rows = frame[_takes(frame) & frame["request_id"].isin(taken.index)]
        sums = rows["rupiah"].groupby(rows["request_id"]).sum()
        taken = taken.add(sums.reindex(taken.index, fill_value=0))
    return pd.Series(taken.to_numpy(), index=orders.index, dtype="int64")


def _takes(frame: pd.DataFrame) -> pd.Series[bool]:
    return (frame["trouble"] == "") & (frame["status"] == "succeeded")


def netted(theirs: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the day's files with every refund added to its sale.

    :returns: the same columns without ``moment``, and ``netted_rupiah`` (what refunds took from ``rupiah``,
        not positive), ``is_refund_alone`` (no sale in these files), ``other_rows`` (of the same file). Netted
        rows come last, by the place of the order's first row.
    """
    theirs = theirs.drop(columns="moment")
    is_refund = (theirs["trouble"] == "") & (theirs["kind"] == RowKind.REFUND.value)
    if not is_refund.any():
        return theirs.assign(netted_rupiah=0, is_refund_alone=False, other_rows=None)
    refunded = theirs.loc[is_refund, "request_id"].unique()
    is_involved = (theirs["trouble"] == "") & theirs["request_id"].isin(refunded)
    rest = theirs[~is_involved].assign(netted_rupiah=0, is_refund_alone=False, other_rows=None)
    orders: dict[str, list[Any]] = {}
    for row in theirs[is_involved].itertuples(index=False):
        orders.setdefault(str(row.request_id), []).append(row)
    made = [{**line, "place": _NETTED + rows[0].place} for rows in orders.values() for line in _net(rows)]
    if not made:
        return rest
    return pd.concat([rest, pd.DataFrame(made, columns=rest.columns).astype(rest.dtypes)], ignore_index=True)


def _net(rows: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """Return the net of one order's rows."""
    sales = [row for row in rows if row.kind != RowKind.REFUND.value]
    # A refund that is still pending does not count.
    refunds = [row for row in rows if row.kind == RowKind.REFUND.value and row.status != "pending"]
    first, cancelled = [*sales, *refunds][:1], 0
    for refund in list(refunds):
        same = [sale for sale in sales if sale.rupiah == -refund.rupiah]
        if same:
            # Of several rows, take the one that charged something.
            sales.remove(next((sale for sale in same if sale.status != REFUNDED), same[0]))
            refunds.remove(refund)
            cancelled += refund.rupiah
    left = sum(refund.rupiah for refund in refunds)
    if len(sales) > 1:
        yield from (_line(row, (), 0) for row in (*sales, *refunds))
    elif sales:
        yield _line(sales[0], rows, left, rupiah=sales[0].rupiah + left)
    elif cancelled:
        status = "succeeded" if left else REFUNDED
        yield _line(first[0], rows, cancelled + left, rupiah=left, status=status)
    elif refunds:
        yield _line(refunds[0], rows, 0, rupiah=left, is_refund_alone=True)


def _line(row: Any, rows: Sequence[Any], netted_rupiah: int, **changed: Any) -> dict[str, Any]:
    others = tuple(int(one.file_row) for one in rows if one.file == row.file and one is not row)
    line: dict[str, Any] = {
        **row._asdict(),
        "netted_rupiah": netted_rupiah,
        "is_refund_alone": False,
        "other_rows": others or None,
        **changed,
    }
    if line["rupiah"] == 0 and netted_rupiah:
        line["status"] = REFUNDED
    return line
