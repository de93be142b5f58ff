"""A closed day for tests of reports: plausible, small or large, with a break of every category."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd

from sat_hook.domain.breaks import BreakCategory, BreakEvidence, BreakState, MatchKind
from sat_hook.domain.business_day import BusinessDay
from sat_hook.reconciliation.day_orders import DayOrders
from sat_hook.reconciliation.model import (
    ORDER_COLUMNS,
    Adjustment,
    Break,
    ControlTotal,
    DayClose,
    MatchTotals,
    SaldoEquation,
    SaldoPoint,
    SettlementFile,
    TopUp,
)

DAY = date(2026, 11, 22)
PRICES = (10_500, 24_913, 52_000, 102_500)
PRODUCTS = ("10k-three", "25k-xl", "50k-simpati", "pln-prepaid-token-100k")
DIGEST = "ab" * 32
_WITHOUT_AN_ORDER = (BreakCategory.CONTROL, BreakCategory.TIMING, BreakCategory.FILE)


def closed_day(orders: int = 200, *, account: str = "demo", day: date = DAY, seed: int = 1) -> DayClose:
    """A day of so many orders; most succeeded, some failed, a few are in transit. Sums add up."""
    business_day = BusinessDay(day)
    frame = order_frame(orders, business_day, seed)
    breaks = every_category(business_day, frame)
    opening = SaldoPoint(business_day.opens_at.astimezone(UTC), 5_000_000_000, DIGEST, 10)
    totals = {
        name: int(frame[name].sum())
        for name in (
            "debit_rupiah",
            "refund_rupiah",
            "in_transit_opening_rupiah",
            "in_transit_closing_rupiah",
        )
    }
    expected = (
        opening.saldo_rupiah
        + 1_000_000
        + totals["in_transit_opening_rupiah"]
        - totals["debit_rupiah"]
        + totals["refund_rupiah"]
        - totals["in_transit_closing_rupiah"]
    )
    saldo = SaldoEquation(
        opening=opening,
        closing=SaldoPoint(business_day.closes_at.astimezone(UTC), expected - 2_500, DIGEST, 9_000),
        top_ups_rupiah=1_000_000,
        debits_rupiah=totals["debit_rupiah"],
        refunds_rupiah=totals["refund_rupiah"],
        in_transit_opening_rupiah=totals["in_transit_opening_rupiah"],
        in_transit_closing_rupiah=totals["in_transit_closing_rupiah"],
        may_drift_rupiah=totals["in_transit_closing_rupiah"],
    )
    charged = int(frame["charged_rupiah"].sum())
    matches = tuple(
        MatchTotals(
            kind,
            was_made=True,
            note=note,
            ours=orders,
            ours_rupiah=charged,
            theirs=orders,
            theirs_rupiah=charged,
            matched=orders - 1,
            matched_rupiah=charged - PRICES[0],
            breaks=sum(1 for item in breaks if item.match is kind),
        )
        for kind, note in (
            (MatchKind.EVIDENCE, "Ends in the log against the signed statuses that are kept."),
            (MatchKind.SETTLEMENT, "Debited orders against the rows of the settlement file."),
            (MatchKind.SALDO, "The closing saldo against what the orders and top-ups explain."),
            (MatchKind.CONTROL, "Totals of the log against totals of this report."),
        )
    )
    return DayClose(
        account=account,
        business_day=business_day,
        position=9_001,
        orders=DayOrders.of(frame),
        matches=matches,
        saldo=saldo,
        breaks=breaks,
        controls=(
            ControlTotal("orders", str(orders), str(orders)),
            ControlTotal("opening saldo is yesterday's closing saldo", "5000000000", "5000000000"),
        ),
        settlement_files=(SettlementFile("settlement-2026-11-22.csv", DIGEST, orders, charged, 8_990),),
        top_ups=(
            TopUp("BCA-20261122-1", 1_000_000, datetime(2026, 11, 22, 3, tzinfo=UTC), "user:finance", 40),
        ),
        adjustments=(
            Adjustment(
                certified_day=day - timedelta(days=2),
                request_id=request_id(900_000),
                order_id="order-900000",
                what="succeeded when the day was certified, reversed since",
                reported="succeeded",
                now="reversed",
                amount_rupiah=52_000,
                position=8_800,
            ),
        ),
    )


def request_id(number: int) -> str:
    """A request id that looks like one."""
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    text = ""
    for _ in range(31):
        text += digits[number % 32]
        number = number // 32 + 7
    return "S" + text


def order_frame(orders: int, business_day: BusinessDay, seed: int = 1) -> pd.DataFrame:
    """The orders of a day, typed as the model says."""
    chance = np.random.default_rng(seed)
    kind = chance.choice(3, orders, p=(0.93, 0.05, 0.02))  # succeeded, failed, pending
    product = chance.integers(0, len(PRODUCTS), orders)
    price = np.array(PRICES, dtype="int64")[product]
    opens = pd.Timestamp(business_day.opens_at).tz_convert("UTC").as_unit("us")
    sent = opens + pd.to_timedelta(np.sort(chance.integers(0, 86_000, orders)), unit="s")
    ended = pd.Series(sent + pd.to_timedelta(chance.integers(2, 300, orders), unit="s"))
    ended[kind == 2] = pd.NaT
    states = np.array(["succeeded", "failed", "pending"])[kind]
    numbers = range(1, orders + 1)
    frame = pd.DataFrame(
        {
            "request_id": [request_id(number) for number in numbers],
            "order_id": [f"order-{number}" for number in numbers],
            "batch_id": "B" + "A" * 25,
            "row_number": np.arange(2, orders + 2),
            "product_code": np.array(PRODUCTS)[product],
            "client_number": [f"0812***{number % 1000:03d}" for number in numbers],
            "state": states,
            "state_at_close": states,
            "sent_at": sent,
            "ended_at": ended,
            "is_sent_in_day": True,
            "quote_rupiah": price,
            "charged_rupiah": price,
            "admin_fee_rupiah": 0,
            "partner_fee_rupiah": np.where(kind == 0, 100, 0),
            "debit_rupiah": np.where(kind < 2, price, 0),
            "refund_rupiah": np.where(kind == 1, price, 0),
            "in_transit_opening_rupiah": 0,
            "in_transit_closing_rupiah": np.where(kind == 2, price, 0),
            "evidence": np.array(["signed", "signed", "none"])[kind],
            "settlement": np.array(["matched", "not expected", "not expected"])[kind],
            "breaks": 0,
            "last_position": np.arange(100, 100 + orders),
        }
    )
    frame = frame.astype(ORDER_COLUMNS)
    return frame[list(ORDER_COLUMNS)].sort_values("request_id", ignore_index=True)


def every_category(business_day: BusinessDay, frame: pd.DataFrame) -> tuple[Break, ...]:
    """One break of every category, of different ages, states and signs."""
    match_of = {
        BreakCategory.STATUS: MatchKind.EVIDENCE,
        BreakCategory.MATCHING: MatchKind.EVIDENCE,
        BreakCategory.TIMING: MatchKind.SALDO,
        BreakCategory.CONTROL: MatchKind.CONTROL,
    }
    states = (BreakState.OPEN, BreakState.OPEN, BreakState.EXPLAINED, BreakState.WRITTEN_OFF)
    found = []
    for place, category in enumerate(BreakCategory):
        state = states[place % len(states)]
        first_seen = business_day.day - timedelta(days=(0, 1, 5, 12, 45)[place % 5])
        has_order = category not in _WITHOUT_AN_ORDER and len(frame) > place
        is_decided = state is not BreakState.OPEN
        found.append(
            Break(
                break_id=f"K{chr(ord('A') + place) * 15}",
                match=match_of.get(category, MatchKind.SETTLEMENT),
                category=category,
                day=first_seen,
                first_seen=first_seen,
                request_id=str(frame["request_id"].iloc[place]) if has_order else None,
                order_id=str(frame["order_id"].iloc[place]) if has_order else None,
                what=f"an example of a difference of the category {category.value}",
                ours="52000" if has_order else "",
                theirs="=49500" if category is BreakCategory.ATTRIBUTE else "49500",
                amount_rupiah=(-2_500, 52_000, 0)[place % 3],
                evidence=BreakEvidence(
                    positions=(120 + place,),
                    file_name="settlement-2026-11-22.csv" if has_order else None,
                    file_digest=DIGEST if has_order else None,
                    file_rows=(17 + place,) if has_order else (),
                    response_digest=DIGEST,
                ),
                state=state,
                reason="the provider confirmed it" if is_decided else None,
                actor="user:finance" if is_decided else None,
                decided_at=datetime(2026, 11, 22, 20, tzinfo=UTC) if is_decided else None,
            )
        )
    return tuple(sorted(found, key=lambda item: (item.first_seen, item.break_id)))
