"""The second match: our ledger against the provider's settlement files. One to one, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from sat_hook.domain.books_events import SettlementImported
from sat_hook.domain.breaks import BreakCategory, BreakEvidence, MatchKind
from sat_hook.domain.order import OrderState
from sat_hook.reconciliation.evidence import OPEN
from sat_hook.reconciliation.finding import MAXIMUM_ITEMISED, Finder, rupiah
from sat_hook.reconciliation.model import Break, BusinessDay, MatchTotals
from sat_hook.reconciliation.settlement_cells import client_differs
from sat_hook.reconciliation.settlement_rows import SettlementRows

DRIFT = timedelta(hours=2)
"""An order sent so near to a cut-off may stand in the neighbouring day's file. Amounts never drift."""

_GROUP = {
    OrderState.SUCCEEDED.value: "succeeded",
    OrderState.FAILED.value: "failed",
    OrderState.REVERSED.value: "failed",
    **dict.fromkeys(OPEN, "pending"),
}

Lookup = Callable[[Collection[str]], pd.DataFrame]
"""The ledger's rows of some orders, whenever they moved."""


@dataclass(frozen=True, slots=True)
class DayFiles:
    """The files that count for a day, and those of its neighbours as far as they have come.

    :param imported: of the day, in the order of their coming.
    :param rows: their rows, likewise.
    :param find_near: which of some request ids the files of the day before and the day after have.
    :param find_own: which of some orders (request id, when sent) stand in files nearer to their own days.
    :param next_has_come: a file of the day after is there.
    """

    imported: tuple[SettlementImported, ...]
    rows: tuple[SettlementRows, ...]
    find_near: Callable[[Collection[str]], frozenset[str]]
    find_own: Callable[[pd.DataFrame], frozenset[str]]
    next_has_come: bool

    @property
    def all_rows(self) -> pd.DataFrame:
        """The rows of all files, with the place of each one's file."""
        return pd.concat(
            [rows.frame.assign(file=place) for place, rows in enumerate(self.rows)], ignore_index=True
        )


@dataclass(frozen=True, slots=True)
class SettlementMatch:
    """The breaks, the totals, and what became of each order (by request id) where it was not matched."""

    breaks: tuple[Break, ...]
    totals: MatchTotals
    standing: pd.Series[str]


def no_file(rows: pd.DataFrame) -> SettlementMatch:
    """Nothing has come yet: nothing is a break for it."""
    expected = rows[_is_expected(rows)]
    return SettlementMatch(
        (),
        MatchTotals(
            kind=MatchKind.SETTLEMENT,
            was_made=False,
            note="No settlement file of the day has come yet.",
            ours=len(expected),
            ours_rupiah=int(expected["charged_rupiah"].sum()),
            theirs=0,
            theirs_rupiah=0,
            matched=0,
            matched_rupiah=0,
            breaks=0,
        ),
        pd.Series("no file", index=rows.index, dtype="str"),
    )


def match_settlement(
    finder: Finder, day: BusinessDay, rows: pd.DataFrame, files: DayFiles, look_up: Lookup
) -> SettlementMatch:
    """Hold the day's orders against the day's files.

    A request id that stands in them more than once is reported and paired with nothing.

    :param rows: the ledger of the day.
    """
    theirs = files.all_rows
    is_bad = (theirs["trouble"] != "").to_numpy()
    is_twice = theirs["request_id"].duplicated(keep=False).to_numpy() & ~is_bad
    is_single = ~is_bad & ~is_twice
    # Strings are looked up once; the rest is arithmetic on places.
    place = pd.Index(rows["request_id"]).get_indexer(pd.Index(theirs["request_id"]))
    is_ours = place >= 0
    # One to one, or pandas fails: nothing is paired by luck.
    paired = theirs[is_single & is_ours].set_index(place[is_single & is_ours])
    pairs = rows.merge(
        paired.drop(columns="request_id"),
        left_index=True,
        right_index=True,
        how="inner",
        validate="one_to_one",
        suffixes=("", "_theirs"),
    )
    elsewhere = theirs[is_single & ~is_ours]
    strange = theirs.loc[~is_bad & ~is_ours, "request_id"].unique().tolist()
    known = look_up(strange) if strange else rows.iloc[:0]
    ours, unknown = rows, elsewhere
    if len(known):
        more = known.merge(
            elsewhere, on="request_id", how="inner", validate="one_to_one", suffixes=("", "_theirs")
        )
        pairs = pd.concat([pairs, more], ignore_index=True)
        unknown = elsewhere[~elsewhere["request_id"].isin(known["request_id"])]
        ours = pd.concat([rows, known], ignore_index=True)
    is_guest = ~_is_of(pairs, day)
    again = files.find_own(pairs.loc[is_guest, ["request_id", "sent_at"]]) if is_guest.any() else frozenset()
    pairs["is_guest"] = is_guest
    is_again = is_guest & pairs["request_id"].isin(again)
    is_expected = _is_expected(rows).to_numpy()
    expected = rows[is_expected]
    is_named, is_matched, is_doubled = (np.zeros(len(rows), dtype="bool") for _ in range(3))
    is_named[place[is_ours]] = True
    is_matched[place[is_single & is_ours]] = True
    is_doubled[place[is_twice & is_ours]] = True
    missing = rows[is_expected & ~is_named]
    near = files.find_near(missing.loc[~_is_well_inside(missing, day), "request_id"].tolist())
    if near:
        is_near = missing["request_id"].isin(near)
        is_matched[missing.index[is_near]] = True
        missing = missing[~is_near]
    breaks = (
        *_unreadable(finder, files, theirs[is_bad]),
        *_duplicates(finder, files, theirs[is_twice], ours),
        *_unknown(finder, files, unknown),
        *_missing(finder, day, files, missing),
        *_again(finder, files, pairs[is_again]),
        *_differences(finder, day, files, pairs[~is_again] if again else pairs),
    )
    matched = rows[is_expected & is_matched]
    succeeded = theirs["rupiah"][theirs["status"] == "succeeded"]
    standing = np.select(
        [is_doubled, is_matched, is_expected], ["duplicate", "matched", "missing"], default="not expected"
    )
    names = ", ".join(item.name for item in files.imported)
    totals = MatchTotals(
        kind=MatchKind.SETTLEMENT,
        was_made=True,
        note=f"Orders of the day that succeeded against the rows of {names} that say so.",
        ours=len(expected),
        ours_rupiah=int(expected["charged_rupiah"].sum()),
        theirs=len(succeeded),
        theirs_rupiah=int(succeeded.sum()),
        matched=len(matched),
        matched_rupiah=int(matched["charged_rupiah"].sum()),
        breaks=len(breaks),
    )
    return SettlementMatch(breaks, totals, pd.Series(standing, index=rows.index, dtype="str"))


def _itemised(
    finder: Finder, rule: str, found: pd.DataFrame, category: BreakCategory, what: str, amount: pd.Series[int]
) -> tuple[pd.DataFrame, tuple[Break, ...]]:
    """The rows that get a break each, and the one break for all others."""
    left = len(found) - MAXIMUM_ITEMISED
    if left <= 0:
        return found, ()
    rupiah_left = int(amount.iloc[MAXIMUM_ITEMISED:].sum())
    return found.iloc[:MAXIMUM_ITEMISED], (finder.rest(rule, category, what, left, rupiah_left),)


def _is_expected(rows: pd.DataFrame) -> pd.Series[bool]:
    return (rows["state"] == OrderState.SUCCEEDED.value) & rows["is_sent_in_day"]


def _is_of(rows: pd.DataFrame, day: BusinessDay) -> pd.Series[bool]:
    return rows["sent_at"].between(pd.Timestamp(day.opens_at), pd.Timestamp(day.closes_at), inclusive="left")


def _is_well_inside(rows: pd.DataFrame, day: BusinessDay) -> pd.Series[bool]:
    return rows["sent_at"].between(
        pd.Timestamp(day.opens_at + DRIFT), pd.Timestamp(day.closes_at - DRIFT), inclusive="left"
    )


def _place(files: DayFiles, file: int, rows: Sequence[int], *positions: int) -> BreakEvidence:
    imported = files.imported[file]
    return BreakEvidence(
        positions=positions,
        file_name=imported.name,
        file_digest=imported.digest,
        file_rows=tuple(int(row) for row in rows),
    )


def _unreadable(finder: Finder, files: DayFiles, rows: pd.DataFrame) -> Iterator[Break]:
    row: Any
    what = "rows of the settlement file cannot be matched"
    rows, rest = _itemised(finder, "row", rows, BreakCategory.MATCHING, what, rows["rupiah"])
    yield from rest
    for row in rows.itertuples(index=False):
        yield finder.found(
            "row",
            f"{files.imported[row.file].digest}:{row.file_row}",
            BreakCategory.MATCHING,
            f"a row of the settlement file cannot be matched: {row.trouble}",
            theirs=row.request_id or f"row {row.file_row}",
            amount_rupiah=int(row.rupiah),
            evidence=_place(files, row.file, [row.file_row]),
        )


def _duplicates(finder: Finder, files: DayFiles, rows: pd.DataFrame, ours: pd.DataFrame) -> Iterator[Break]:
    if rows.empty:
        return
    charged = ours.set_index("request_id")[["charged_rupiah", "order_id", "state"]]
    what = "the settlement file has orders more than once"
    rows = rows.assign(rupiah=_charges(rows))
    twice = rows[["request_id", "rupiah"]].groupby("request_id", sort=True, as_index=False).sum()
    kept, rest = _itemised(finder, "duplicate", twice, BreakCategory.DUPLICATE, what, twice["rupiah"])
    yield from rest
    rows = rows[rows["request_id"].isin(kept["request_id"])]
    for request_id, group in rows.groupby("request_id", sort=True):
        key = str(request_id)
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
            f"the settlement file has the order {len(group)} times; none of these rows is paired",
            ours=rupiah(our_rupiah) if is_known else "nothing",
            theirs=rupiah(int(group["rupiah"].sum())) + elsewhere,
            amount_rupiah=int(group["rupiah"].sum()) - our_rupiah,
            order=(key, str(charged["order_id"].loc[key])) if is_known else (key, ""),
            evidence=_place(files, first, group.loc[group["file"] == first, "file_row"].tolist()),
        )


def _again(finder: Finder, files: DayFiles, rows: pd.DataFrame) -> Iterator[Break]:
    row: Any
    what = "orders of other days, whose own files have them, too"
    rows, rest = _itemised(finder, "again", rows, BreakCategory.DUPLICATE, what, _charges(rows))
    yield from rest
    for row in rows.itertuples(index=False):
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


def _charges(rows: pd.DataFrame) -> pd.Series[int]:
    """What rows of the file take: one that says failed takes nothing."""
    return rows["rupiah"].where(rows["status"] != "failed", 0)


def _unknown(finder: Finder, files: DayFiles, rows: pd.DataFrame) -> Iterator[Break]:
    row: Any
    what = "orders in the settlement file that our ledger does not know"
    rows, rest = _itemised(finder, "unknown", rows, BreakCategory.EXISTENCE, what, _charges(rows))
    yield from rest
    for row in rows.itertuples(index=False):
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


def late_missing(
    finder: Finder, day: BusinessDay, rows: pd.DataFrame, files: DayFiles, later: Collection[str]
) -> tuple[Break, ...]:
    """What is in no file of a day whose match was made while nobody knew that these orders would succeed.

    :param rows: orders of the day that have succeeded since.
    :param later: those of them that other files have.
    """
    known = {*later, *files.all_rows["request_id"]}
    return tuple(_missing(finder, day, files, rows[~rows["request_id"].isin(known)]))


def _missing(finder: Finder, day: BusinessDay, files: DayFiles, rows: pd.DataFrame) -> Iterator[Break]:
    row: Any
    what = "orders that succeeded by our ledger, and are in no settlement file"
    rows, rest = _itemised(finder, "missing", rows, BreakCategory.EXISTENCE, what, -rows["charged_rupiah"])
    yield from rest
    for row in rows.itertuples(index=False):
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


def _differences(finder: Finder, day: BusinessDay, files: DayFiles, pairs: pd.DataFrame) -> Iterator[Break]:
    group = pairs["state"].astype("str").map(_GROUP).fillna("failed")
    is_paid = (group == "succeeded") & (pairs["status"] == "succeeded")
    # Only what a file says is compared: another one of the day may say more.
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
        kept, rest = _itemised(finder, rule, found, _RULES[rule][0], _RULES[rule][1], amount)
        yield from rest
        row: Any
        for row in kept.itertuples(index=False):
            yield _difference(finder, files, rule, row)


_RULES: dict[str, tuple[BreakCategory, str]] = {
    "date": (BreakCategory.TIMING, "the settlement file of another day has the order"),
    "status": (BreakCategory.STATUS, "the settlement file says otherwise than our ledger"),
    "amount": (BreakCategory.AMOUNT, "the settlement file charges another amount"),
    "product": (BreakCategory.ATTRIBUTE, "the settlement file has another product"),
    "client": (BreakCategory.ATTRIBUTE, "the settlement file has another client number"),
}


def _difference(finder: Finder, files: DayFiles, rule: str, row: Any) -> Break:
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
        case "amount":
            ours, theirs = rupiah(row.charged_rupiah), rupiah(row.rupiah)
            amount = int(row.rupiah) - int(row.charged_rupiah)
        case "product":
            ours, theirs = str(row.product_code), str(row.product_code_theirs)
        case _:
            ours, theirs = str(row.client_number), "another number"
    return finder.found(
        rule,
        # A guest may be in several files: each time it is another break.
        f"{row.request_id}:{finder.day}" if row.is_guest else row.request_id,
        category,
        what,
        ours=ours,
        theirs=theirs,
        amount_rupiah=amount,
        order=(row.request_id, row.order_id),
        evidence=_place(files, row.file, [row.file_row], int(row.last_position)),
    )
