"""The first match: compares ends in our ledger with stored signed statuses, and finds ends without one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from sat_hook.domain.breaks import BreakCategory, BreakEvidence, MatchKind
from sat_hook.domain.order import OrderState
from sat_hook.domain.order_movements import EndProof
from sat_hook.domain.rupiah import rupiah
from sat_hook.reconciliation.break_factory import BreakFactory, Found
from sat_hook.reconciliation.ledger import Span
from sat_hook.reconciliation.model import Break, MatchTotals
from sat_hook.store.days import DayReader

OPEN_STATES = (OrderState.SUBMITTING, OrderState.PENDING, OrderState.UNKNOWN, OrderState.ESCALATED)
OPEN = tuple(state.value for state in OPEN_STATES)

_WORDS: dict[str, tuple[BreakCategory, str]] = {
    "missing": (BreakCategory.EXISTENCE, "the signed status that ended the order is not kept"),
    "changed": (BreakCategory.MATCHING, "the kept signed status is not what its digest says"),
    "other_order": (BreakCategory.MATCHING, "the signed status that ended the order is about another order"),
    "unreadable": (BreakCategory.MATCHING, "the kept signed status cannot be read"),
    "status": (BreakCategory.STATUS, "the signed status says otherwise than our ledger"),
    "unknown_amount": (BreakCategory.AMOUNT, "the signed status names an amount that is no amount of money"),
    "amount": (BreakCategory.AMOUNT, "the signed status charges another amount than our ledger"),
}


_RULES: dict[str, tuple[BreakCategory, str, str]] = {
    "unsigned": (
        BreakCategory.MATCHING,
        "a person ended the order; no signed status says so",
        "no signed status",
    ),
    "contradicted": (
        BreakCategory.STATUS,
        "a signed status contradicts the end of the order",
        "another signed status",
    ),
    "mismatched": (
        BreakCategory.IDENTITY,
        "SAT signed a status with this order's id about another product or client number",
        "a status about something else",
    ),
    "open": (BreakCategory.TIMING, "sent on an earlier day and still without an end", "no final status"),
}
"""What is said of an order of which a rule is true: category, words, and theirs."""


@dataclass(frozen=True, slots=True)
class EvidenceMatch:
    """What the match has found, and its totals without the number of breaks."""

    found: Found
    totals: MatchTotals


def match_evidence(reader: DayReader, finder: BreakFactory, rows: pd.DataFrame, span: Span) -> EvidenceMatch:
    """Compare the signed ends of the day with the stored evidence.

    :param rows: the ledger of the day.
    """
    signed = _last_ends(reader.signed_ends(span.opens_at, span.closes_at))
    signed = signed[signed["request_id"].isin(rows["request_id"])]
    kept, agreed = signed[signed["finding"] != "missing"], signed[signed["finding"] == "agrees"]
    totals = MatchTotals(
        kind=MatchKind.EVIDENCE,
        was_made=True,
        note="How orders ended in the day by our ledger, against the signed texts that are kept.",
        ours=len(signed),
        ours_rupiah=int(signed["our_rupiah"].sum()),
        theirs=len(kept),
        theirs_rupiah=int(kept["their_rupiah"].sum()),
        matched=len(agreed),
        matched_rupiah=int(agreed["our_rupiah"].sum()),
        breaks=0,
    )
    return EvidenceMatch(_judge(finder, rows, signed, span), totals)


def judge_again(reader: DayReader, finder: BreakFactory, rows: pd.DataFrame, span: Span) -> tuple[Break, ...]:
    """Repeat the match for orders of earlier days whose breaks are still carried."""
    signed = _last_ends(reader.signed_ends_of(rows["request_id"]))
    return tuple(_judge(finder, rows, signed, span).breaks)


def _last_ends(ends: pd.DataFrame) -> pd.DataFrame:
    if ends["request_id"].is_unique:
        return ends
    # Of several ends of one order the last one counts.
    return ends.sort_values("position").drop_duplicates("request_id", keep="last")


def _judge(finder: BreakFactory, rows: pd.DataFrame, signed: pd.DataFrame, span: Span) -> Found:
    disagreeing = signed[signed["finding"] != "agrees"]
    wrong: dict[str, Any] = {str(end.request_id): end for end in disagreeing.itertuples(index=False)}
    opens_at = pd.Timestamp(span.opens_at)
    places = rows[
        rows["request_id"].isin(wrong.keys())
        | (rows["end_proof"] == EndProof.BY_OPERATOR)
        | rows["contradicted"]
        | rows["mismatched"]
        | (rows["state"].isin(OPEN) & (rows["sent_at"] < opens_at))
    ]

    def breaks_of(row: Any) -> Iterator[Break]:
        order = (str(row.request_id), str(row.order_id))
        end = wrong.get(order[0])
        if end is not None and row.end_proof == EndProof.SIGNED:
            yield _disagreement(finder, order, end)
        applies = {
            "unsigned": row.end_proof == EndProof.BY_OPERATOR,
            "contradicted": bool(row.contradicted),
            "mismatched": bool(row.mismatched),
            "open": row.state in OPEN and row.sent_at < opens_at,
        }
        for rule in (rule for rule, is_so in applies.items() if is_so):
            category, what, theirs = _RULES[rule]
            # Only what contradicts our end speaks for more money than we have booked.
            sign = 1 if rule == "contradicted" else -1
            yield finder.found(
                rule,
                order[0],
                category,
                what,
                ours=str(row.state),
                theirs=theirs,
                amount_rupiah=sign * int(row.charged_rupiah),
                order=order,
                evidence=BreakEvidence(positions=(int(row.last_position),)),
            )

    what = "orders whose end no signed status proves"
    lost = -places["charged_rupiah"]
    return Found.of(finder, "evidence", BreakCategory.MATCHING, what, places, lost, breaks_of)


def _disagreement(finder: BreakFactory, order: tuple[str, str], end: Any) -> Break:
    category, what = _WORDS[end.finding]
    ours, theirs = str(end.our_status), str(end.their_status)
    amount = -int(end.our_rupiah)
    if end.finding == "unknown_amount":
        ours, amount = rupiah(end.our_rupiah) if end.our_rupiah else "no amount", 0
    elif end.finding == "amount":
        ours, theirs = rupiah(end.our_rupiah), rupiah(end.their_rupiah)
        amount = int(end.their_rupiah) - int(end.our_rupiah)
    return finder.found(
        "signed",
        order[0],
        category,
        what,
        ours=ours,
        theirs=theirs or "nothing",
        amount_rupiah=amount,
        order=order,
        evidence=BreakEvidence(positions=(int(end.position),), response_digest=end.digest),
    )
