"""The second match: pairs our ledger with the provider's settlement files, strictly one to one."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sat_hook.domain.breaks import MatchKind
from sat_hook.domain.business_day import BusinessDay
from sat_hook.domain.order import OrderState
from sat_hook.domain.settlement_mapping import RowKind
from sat_hook.reconciliation import settlement_findings as findings
from sat_hook.reconciliation.break_factory import BreakFactory, Found
from sat_hook.reconciliation.model import MatchTotals
from sat_hook.reconciliation.netting import netted
from sat_hook.reconciliation.settlement_findings import DRIFT, DayFiles

Lookup = Callable[[Collection[str]], pd.DataFrame]
"""Returns the ledger's rows of some orders, whenever they moved."""


@dataclass(frozen=True, slots=True)
class SettlementMatch:
    """What was found, the totals without the number of breaks, and the outcome of each of our orders."""

    found: tuple[Found, ...]
    totals: MatchTotals
    standing: pd.Series[str]


def no_file(rows: pd.DataFrame) -> SettlementMatch:
    """Return the result while no file has come: without breaks."""
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
    finder: BreakFactory, day: BusinessDay, rows: pd.DataFrame, files: DayFiles, look_up: Lookup
) -> SettlementMatch:
    """Match the day's orders with the day's files.

    A refund is added to its sale first. A request id that still occurs more than once after that is reported
    and not paired.

    :param rows: the ledger of the day.
    """
    theirs = netted(files.all_rows)
    is_bad = (theirs["trouble"] != "").to_numpy()
    is_sale = ~theirs["is_refund_alone"].to_numpy()
    is_twice = theirs["request_id"].duplicated(keep=False).to_numpy() & ~is_bad
    is_single = ~is_bad & ~is_twice
    # Strings are looked up once; the rest is arithmetic on places.
    place = pd.Index(rows["request_id"]).get_indexer(pd.Index(theirs["request_id"]))
    is_ours = place >= 0
    # One to one, or pandas fails: no pair is a matter of chance.
    paired = theirs[is_single & is_ours].set_index(place[is_single & is_ours])
    pairs = rows.merge(
        paired.drop(columns="request_id"),
        left_index=True,
        right_index=True,
        how="inner",
        validate="one_to_one",
        suffixes=("", "_theirs"),
    )
    pairs["is_of_others"] = 0
    elsewhere = theirs[is_single & ~is_ours]
    strange = theirs.loc[~is_bad & ~is_ours, "request_id"].unique().tolist()
    known = look_up(strange) if strange else rows.iloc[:0]
    ours, unknown = rows, elsewhere
    if len(known):
        more = known.merge(
            elsewhere, on="request_id", how="inner", validate="one_to_one", suffixes=("", "_theirs")
        )
        pairs = pd.concat([pairs, more.assign(is_of_others=1)], ignore_index=True)
        unknown = elsewhere[~elsewhere["request_id"].isin(known["request_id"])]
        ours = pd.concat([rows, known], ignore_index=True)
    refunds, pairs = pairs[pairs["is_refund_alone"]], pairs[~pairs["is_refund_alone"]]
    is_guest = ~_is_of(pairs, day)
    again = files.find_own(pairs.loc[is_guest, ["request_id", "sent_at"]]) if is_guest.any() else frozenset()
    pairs = pairs.assign(is_guest=is_guest)
    is_again = is_guest & pairs["request_id"].isin(again)
    is_expected = _is_expected(rows).to_numpy()
    expected = rows[is_expected]
    is_named, is_matched, is_doubled = (np.zeros(len(rows), dtype="bool") for _ in range(3))
    is_named[place[is_ours & is_sale]] = True
    is_matched[place[is_single & is_ours & is_sale]] = True
    is_doubled[place[is_twice & is_ours]] = True
    missing = rows[is_expected & ~is_named]
    near = files.find_near(missing.loc[~_is_well_inside(missing, day), "request_id"].tolist())
    if near:
        is_near = missing["request_id"].isin(near)
        is_matched[missing.index[is_near]] = True
        missing = missing[~is_near]
    found = (
        findings.unreadable(finder, files, theirs[is_bad]),
        findings.duplicates(finder, files, theirs[is_twice], ours),
        findings.unknown(finder, files, unknown),
        findings.missing(finder, day, files, missing),
        findings.again(finder, files, pairs[is_again]),
        findings.refunds(finder, files, refunds),
        *findings.differences(finder, day, files, pairs[~is_again] if again else pairs),
    )
    matched = rows[is_expected & is_matched]
    succeeded = theirs[(theirs["status"] == "succeeded") & is_sale & ~is_bad]
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
        theirs=int((succeeded["kind"] != RowKind.REFUND.value).sum()),
        theirs_rupiah=int(succeeded["rupiah"].sum()),
        matched=len(matched),
        matched_rupiah=int(matched["charged_rupiah"].sum()),
        breaks=0,
    )
    return SettlementMatch(found, totals, pd.Series(standing, index=rows.index, dtype="str"))


def _is_expected(rows: pd.DataFrame) -> pd.Series[bool]:
    return (rows["state"] == OrderState.SUCCEEDED.value) & rows["is_sent_in_day"]


def _is_of(rows: pd.DataFrame, day: BusinessDay) -> pd.Series[bool]:
    return rows["sent_at"].between(pd.Timestamp(day.opens_at), pd.Timestamp(day.closes_at), inclusive="left")


def _is_well_inside(rows: pd.DataFrame, day: BusinessDay) -> pd.Series[bool]:
    return rows["sent_at"].between(
        pd.Timestamp(day.opens_at + DRIFT), pd.Timestamp(day.closes_at - DRIFT), inclusive="left"
    )


def late_missing(
    finder: BreakFactory, day: BusinessDay, rows: pd.DataFrame, files: DayFiles, later: Collection[str]
) -> Found:
    """Return orders that are in no file of a day, and whose success was not yet known when the day was
    matched.

    :param rows: orders of the day that have succeeded since.
    :param later: those of them that other files have.
    """
    known = {*later, *files.all_rows["request_id"]}
    return findings.missing(finder, day, files, rows[~rows["request_id"].isin(known)])
