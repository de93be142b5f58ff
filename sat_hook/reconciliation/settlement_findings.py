"""The findings of the match with settlement files, as breaks: one rule each, with the place in the file."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pandas as pd

from sat_hook.domain.books_events import SettlementImported
from sat_hook.domain.breaks import BreakCategory, BreakEvidence
from sat_hook.domain.business_day import BusinessDay
from sat_hook.domain.identity import break_id_of
from sat_hook.domain.order import OrderState
from sat_hook.domain.rupiah import rupiah
from sat_hook.presentation.spreadsheet_cells import has_long_number, shape_of
from sat_hook.reconciliation.break_factory import BreakFactory, Found
from sat_hook.reconciliation.model import Break
from sat_hook.reconciliation.netting import REFUNDED
from sat_hook.reconciliation.settlement_cells import OUR_REQUEST_ID, client_differs
from sat_hook.reconciliation.settlement_rows import SettlementRows
from sat_hook.reconciliation.status_match import OPEN

DRIFT = timedelta(hours=2)
"""An order sent this close to a cut-off may be in the neighbouring day's file. Amounts never drift."""

_GROUP = {
    OrderState.SUCCEEDED.value: "succeeded",
    OrderState.FAILED.value: "failed",
    OrderState.REVERSED.value: "failed",
    **dict.fromkeys(OPEN, "pending"),
}


@dataclass(frozen=True, slots=True)
class DayFiles:
    """The files that count for a day, and those of its neighbours that have come.

    :param imported: of the day, in order of arrival.
    :param rows: their rows, in the same order.
    :param find_near: returns which of some request ids the files of the day before and the day after have.
    :param find_own: returns which of some orders (request id, when sent) are in files nearer to their own
        days.
    :param find_taken: returns what the files of the days before charged for some orders (request id, when
        sent, charged), refunds included; the charged amount, if they do not have the sale.
    :param next_has_come: whether a file of the day after is there.
    """

    imported: tuple[SettlementImported, ...]
    rows: tuple[SettlementRows, ...]
    find_near: Callable[[Collection[str]], frozenset[str]]
    find_own: Callable[[pd.DataFrame], frozenset[str]]
    find_taken: Callable[[pd.DataFrame], pd.Series[int]]
    next_has_come: bool

    @property
    def all_rows(self) -> pd.DataFrame:
        """Return the rows of all files, with the place of each one's file, and their own among all rows."""
        return pd.concat(
            [
                rows.frame.assign(file=file, place=(file << 40) + rows.frame["file_row"])
                for file, rows in enumerate(self.rows)
            ],
            ignore_index=True,
        )


def _place(files: DayFiles, file: int, rows: Sequence[int], *positions: int) -> BreakEvidence:
    imported = files.imported[file]
    return BreakEvidence(
        positions=positions,
        file_name=imported.name,
        file_digest=imported.digest,
        file_rows=tuple(int(row) for row in rows),
    )


def unreadable(finder: BreakFactory, files: DayFiles, rows: pd.DataFrame) -> Found:
    def breaks_of(row: Any) -> Iterator[Break]:
        yield finder.found(
            "row",
            f"{files.imported[row.file].digest}:{row.file_row}",
            BreakCategory.MATCHING,
            f"a row of the settlement file cannot be matched: {row.trouble}",
            theirs=_id_shown(files.imported[row.file], row),
            amount_rupiah=int(row.rupiah),
            evidence=_place(files, row.file, [row.file_row]),
        )

    what = "rows of the settlement file cannot be matched"
    return Found.of(
        finder, "row", BreakCategory.MATCHING, what, rows, rows["rupiah"], breaks_of, rows["place"]
    )


def _id_shown(imported: SettlementImported, row: Any) -> str:
    """Return the id of a row that is set aside, or its place: a cell that is not one of our ids may hold
    customer data.
    """
    is_shown = row.request_id and (
        imported.mapping.reads_as_before or OUR_REQUEST_ID.fullmatch(row.request_id)
    )
    return row.request_id if is_shown else f"row {row.file_row}"


def duplicates(finder: BreakFactory, files: DayFiles, rows: pd.DataFrame, ours: pd.DataFrame) -> Found:
    named = ours["request_id"].isin(rows["request_id"])
    charged = ours[named].set_index("request_id")[["charged_rupiah", "order_id", "state"]]
    rows = rows.assign(rupiah=_charges(rows))
    groups = rows.groupby("request_id", sort=True)
    twice = rows[["request_id", "rupiah"]].groupby("request_id", sort=True, as_index=False).sum()

    def breaks_of(row: Any) -> Iterator[Break]:
        key, group = str(row.request_id), groups.get_group(row.request_id)
        is_known = key in charged.index
        is_paid = is_known and _GROUP.get(str(charged["state"].loc[key]), "failed") != "failed"
        our_rupiah = int(charged["charged_rupiah"].loc[key]) if is_paid else 0
        first = int(group["file"].iloc[0])
        others = group[group["file"] != first]
        elsewhere = "".join(
            f"; {files.imported[file].name} row {row}"
            for file, row in zip(others["file"], others["file_row"], strict=True)
        )
        yield finder.found(
            "duplicate",
            f"{key}:{finder.day}",
            BreakCategory.DUPLICATE,
            _how_often(files.imported[first], group),
            ours=rupiah(our_rupiah) if is_known else "nothing",
            theirs=rupiah(int(row.rupiah)) + elsewhere,
            amount_rupiah=int(row.rupiah) - our_rupiah,
            order=(key, str(charged["order_id"].loc[key])) if is_known else (key, ""),
            evidence=_place(files, first, group.loc[group["file"] == first, "file_row"].tolist()),
        )

    what = "the settlement file has orders more than once"
    return Found.of(finder, "duplicate", BreakCategory.DUPLICATE, what, twice, twice["rupiah"], breaks_of)


def _how_often(imported: SettlementImported, group: pd.DataFrame) -> str:
    if imported.mapping.reads_as_before:
        return f"the settlement file has the order {len(group)} times; none of these rows is paired"
    if len(group) == 1:
        return "the settlement file has the order again in a row that is set aside; neither is paired"
    names = "file has" if group["file"].nunique() == 1 else "files have"
    return f"the settlement {names} the order {len(group)} times; none of these rows is paired"


def again(finder: BreakFactory, files: DayFiles, rows: pd.DataFrame) -> Found:
    def breaks_of(row: Any) -> Iterator[Break]:
        yield finder.found(
            "again",
            f"{row.request_id}:{finder.day}",
            BreakCategory.DUPLICATE,
            "the settlement file has an order of another day, whose own file has it, too",
            ours=f"{row.state}, sent {row.sent_at:%Y-%m-%d %H:%M} UTC",
            theirs=f"{rupiah(row.rupiah)}, {row.status}",
            amount_rupiah=0 if row.status == "failed" else int(row.rupiah),
            order=(row.request_id, row.order_id),
            evidence=_place(files, row.file, [row.file_row], int(row.last_position)),
        )

    what = "orders of other days, whose own files have them, too"
    return Found.of(
        finder, "again", BreakCategory.DUPLICATE, what, rows, _charges(rows), breaks_of, rows["is_of_others"]
    )


def _groups(rows: pd.DataFrame) -> pd.Series[str]:
    """Return our ledger's orders in the terms of settlement files."""
    return rows["state"].astype("str").map(_GROUP).fillna("failed")


def _rows_of(row: Any) -> list[int]:
    """Return the file's rows that a line was made from."""
    return sorted([row.file_row, *(row.other_rows or ())])


def _charges(rows: pd.DataFrame) -> pd.Series[int]:
    """Return what rows of the file charge. A row that says failed charges nothing."""
    return rows["rupiah"].where(rows["status"] != "failed", 0)


def unknown(finder: BreakFactory, files: DayFiles, rows: pd.DataFrame) -> Found:
    def breaks_of(row: Any) -> Iterator[Break]:
        yield finder.found(
            "unknown",
            f"{row.request_id}:{finder.day}",
            BreakCategory.EXISTENCE,
            "the settlement file has an order that our ledger does not know",
            ours="nothing",
            theirs=f"{rupiah(row.rupiah)}, {row.status}",
            amount_rupiah=0 if row.status == "failed" else int(row.rupiah),
            order=(row.request_id, ""),
            evidence=_place(files, row.file, [row.file_row]),
        )

    what = "orders in the settlement file that our ledger does not know"
    return Found.of(
        finder, "unknown", BreakCategory.EXISTENCE, what, rows, _charges(rows), breaks_of, rows["place"]
    )


def missing(finder: BreakFactory, day: BusinessDay, files: DayFiles, rows: pd.DataFrame) -> Found:
    def breaks_of(row: Any) -> Iterator[Break]:
        may_come = row.sent_at >= pd.Timestamp(day.closes_at - DRIFT) and not files.next_has_come
        yield finder.found(
            "missing",
            row.request_id,
            BreakCategory.TIMING if may_come else BreakCategory.EXISTENCE,
            "sent shortly before the cut-off; expected in the next day's settlement file"
            if may_come
            else "succeeded by our ledger, and in no settlement file",
            ours=rupiah(row.charged_rupiah),
            theirs="nothing",
            amount_rupiah=-int(row.charged_rupiah),
            order=(row.request_id, row.order_id),
            evidence=BreakEvidence(
                positions=(int(row.last_position),),
                file_name=files.imported[0].name,
                file_digest=files.imported[0].digest,
            ),
        )

    what = "orders that succeeded by our ledger, and are in no settlement file"
    return Found.of(
        finder, "missing", BreakCategory.EXISTENCE, what, rows, -rows["charged_rupiah"], breaks_of
    )


def refunds(finder: BreakFactory, files: DayFiles, rows: pd.DataFrame) -> Found:
    """Return breaks of refunds whose sale is not in these files, compared with what earlier files charged."""
    what = "the settlement file refunds otherwise than our ledger has it"

    def breaks_of(row: Any) -> Iterator[Break]:
        yield finder.found(
            "refund",
            f"{row.request_id}:{finder.day}",
            BreakCategory.AMOUNT,
            what,
            ours=f"{row.state}, {rupiah(row.kept)}",
            theirs=f"{rupiah(-row.rupiah)} refunded",
            amount_rupiah=int(row.amount),
            order=(row.request_id, row.order_id),
            evidence=_place(files, row.file, _rows_of(row), int(row.last_position)),
        )

    is_paid = ~_groups(rows).eq("failed")
    kept_rupiah = rows["charged_rupiah"].where(is_paid, 0)
    taken = files.find_taken(rows[["request_id", "sent_at", "charged_rupiah"]]) if len(rows) else 0
    amount = taken + rows["rupiah"] - kept_rupiah
    found = rows.assign(amount=amount, kept=kept_rupiah)[amount != 0]
    return Found.of(
        finder,
        "refund",
        BreakCategory.AMOUNT,
        what,
        found,
        found["amount"],
        breaks_of,
        found["is_of_others"],
    )


def is_of_refund(item: Break, account: str) -> bool:
    """Whether a break is about a refund whose sale is in an earlier file."""
    return item.break_id == break_id_of(account, item.match.value, "refund", item.subject)


def differences(
    finder: BreakFactory, day: BusinessDay, files: DayFiles, pairs: pd.DataFrame
) -> Iterator[Found]:
    group = _groups(pairs)
    is_paid = (group == "succeeded") & (pairs["status"] == "succeeded")
    # Only what a file says is compared: another file of the day may say more.
    with_product = [place for place, rows in enumerate(files.rows) if rows.has_product]
    with_client = [place for place, rows in enumerate(files.rows) if rows.has_client]
    is_other_day = ~pairs["sent_at"].between(
        pd.Timestamp(day.opens_at - DRIFT), pd.Timestamp(day.closes_at + DRIFT)
    )
    rules = {
        "date": is_other_day,
        "status": group != pairs["status"],
        "amount": is_paid & (pairs["charged_rupiah"] != pairs["rupiah"]),
        "product": (pairs["product_code"].astype("str") != pairs["product_code_theirs"])
        & pairs["file"].isin(with_product),
        "client": client_differs(pairs) & pairs["file"].isin(with_client),
    }
    for rule, is_so in rules.items():
        found = pairs[is_so]
        amount = (found["rupiah"] - found["charged_rupiah"]) * (rule == "amount")
        category, what = _RULES[rule]

        def breaks_of(row: Any, rule: str = rule) -> Iterator[Break]:
            yield _difference(finder, files, rule, row)

        yield Found.of(finder, rule, category, what, found, amount, breaks_of, found["is_of_others"])


_RULES: dict[str, tuple[BreakCategory, str]] = {
    "date": (BreakCategory.TIMING, "the settlement file of another day has the order"),
    "status": (BreakCategory.STATUS, "the settlement file says otherwise than our ledger"),
    "amount": (BreakCategory.AMOUNT, "the settlement file charges another amount"),
    "product": (BreakCategory.ATTRIBUTE, "the settlement file has another product"),
    "client": (BreakCategory.ATTRIBUTE, "the settlement file has another client number"),
}


def _difference(finder: BreakFactory, files: DayFiles, rule: str, row: Any) -> Break:
    category, what = _RULES[rule]
    amount = 0
    match rule:
        case "date":
            ours, theirs = f"sent {row.sent_at:%Y-%m-%d %H:%M} UTC", f"in the file of {finder.day}"
        case "status":
            ours, theirs = str(row.state), str(row.status)
            is_charged = ours == OrderState.SUCCEEDED.value
            amount = (int(row.rupiah) if theirs == "succeeded" else 0) - (
                int(row.charged_rupiah) if is_charged else 0
            )
            if row.netted_rupiah:
                theirs = "refunded" if theirs == REFUNDED else f"{theirs}, {_netted(row)}"
        case "amount":
            ours, theirs = rupiah(row.charged_rupiah), _netted(row)
            amount = int(row.rupiah) - int(row.charged_rupiah)
        case "product":
            ours, theirs = str(row.product_code), str(row.product_code_theirs)
            if has_long_number(theirs) and not files.imported[row.file].mapping.reads_as_before:
                theirs = shape_of(theirs)
        case _:
            ours, theirs = str(row.client_number), "another number"
    return finder.found(
        rule,
        # A row of another day may be in several files: each is a break of its own.
        f"{row.request_id}:{finder.day}" if row.is_guest else row.request_id,
        category,
        what,
        ours=ours,
        theirs=theirs,
        amount_rupiah=amount,
        order=(row.request_id, row.order_id),
        evidence=_place(files, row.file, _rows_of(row), int(row.last_position)),
    )


def _netted(row: Any) -> str:
    if not row.netted_rupiah:
        return rupiah(row.rupiah)
    sale = rupiah(row.rupiah - row.netted_rupiah)
    return f"{rupiah(row.rupiah)} ({sale} less {rupiah(-row.netted_rupiah)} refunded)"
