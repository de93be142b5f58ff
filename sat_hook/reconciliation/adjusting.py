"""Prior-period adjustments: later evidence about certified days, posted in the open one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pandas as pd

from sat_hook.domain.books import AccountBooks
from sat_hook.domain.order import OrderState
from sat_hook.reconciliation.finding import printable
from sat_hook.reconciliation.ledger import Span
from sat_hook.reconciliation.model import WIB, Adjustment, BusinessDay

FINAL = tuple(state.value for state in OrderState if state.is_final)
_SUCCEEDED = OrderState.SUCCEEDED.value


def adjustments_of(
    books: AccountBooks, rows: pd.DataFrame, span: Span, cut_off_minutes: int
) -> tuple[Adjustment, ...]:
    """What changed since the last close in orders and top-ups that a certified day has reported as ended."""
    if not books.certified:
        return ()
    return (*_of_orders(books, rows, cut_off_minutes), *_of_top_ups(books, span, cut_off_minutes))


def _of_orders(books: AccountBooks, rows: pd.DataFrame, cut_off_minutes: int) -> list[Adjustment]:
    before, now = rows["before_state"].astype("str"), rows["state"].astype("str")
    is_dearer = (
        (before == _SUCCEEDED) & (now == _SUCCEEDED) & (rows["charged_rupiah"] != rows["before_rupiah"])
    )
    has_changed = before.isin(FINAL) & ((before != now) | is_dearer) & rows["ended_at"].notna()
    changed = rows[has_changed]
    ended = changed["ended_at"].dt.tz_convert(WIB) - timedelta(minutes=cut_off_minutes)
    adjustments = []
    row: Any
    for row, day in zip(changed.itertuples(index=False), ended.dt.date, strict=True):
        if day not in books.certified:
            continue
        was = int(row.before_rupiah) if row.before_state == _SUCCEEDED else 0
        is_ = int(row.charged_rupiah) if row.state == _SUCCEEDED else 0
        adjustments.append(
            Adjustment(
                certified_day=day,
                request_id=row.request_id,
                order_id=printable(row.order_id),
                what="ended otherwise than the certified day has reported",
                reported=str(row.before_state),
                now=str(row.state),
                amount_rupiah=was - is_,
                position=int(row.last_position),
            )
        )
    return adjustments


def _of_top_ups(books: AccountBooks, span: Span, cut_off_minutes: int) -> list[Adjustment]:
    return [
        Adjustment(
            certified_day=day,
            request_id="",
            order_id=posted.event.reference,
            what="a top-up of the certified day was recorded later",
            reported="nothing",
            now="topped up",
            amount_rupiah=posted.event.amount_rupiah,
            position=posted.posted.position,
        )
        for posted in books.top_ups
        if posted.posted.position > span.before
        and posted.event.credited_at <= span.opening_at
        and (day := BusinessDay.of(posted.event.credited_at, cut_off_minutes).day) in books.certified
    ]
