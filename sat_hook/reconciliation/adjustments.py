"""Prior-period adjustments: later evidence about certified days, posted in the open day."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from typing import Any

import pandas as pd

from sat_hook.domain.books import AccountBooks
from sat_hook.domain.order import OrderState
from sat_hook.reconciliation.break_factory import printable
from sat_hook.reconciliation.day_sequence import day_of
from sat_hook.reconciliation.ledger import Span, ledger_of
from sat_hook.reconciliation.model import Adjustment
from sat_hook.store.days import DayReader

FINAL = tuple(state.value for state in OrderState if state.is_final)
_SUCCEEDED = OrderState.SUCCEEDED.value


def adjustments_of(
    reader: DayReader, books: AccountBooks, rows: pd.DataFrame, span: Span
) -> tuple[Adjustment, ...]:
    """Return what changed for orders and top-ups of certified days since the last close that could report it.

    For a day certified before the last close, that is the last close. For a day certified after later days
    had been closed, it is the day's own close.

    :param rows: the ledger of the day.
    """
    told = {day: books.told_up_to(certificate) for day, certificate in books.certified.items()}
    found: list[Adjustment] = []
    for since in sorted(set(told.values())):
        days = {day for day, position in told.items() if position == since}
        if since == span.before:
            found += _of_orders(books, rows, days)
        elif ended_again := reader.ended_again(since):
            changed = ledger_of(reader, replace(span, before=since, follows=False), ended_again)
            found += _of_orders(books, changed, days)
        found += _of_top_ups(books, span, days, since)
    return tuple(found)


def _of_orders(books: AccountBooks, rows: pd.DataFrame, days: set[date]) -> Iterator[Adjustment]:
    before, now = rows["before_state"].astype("str"), rows["state"].astype("str")
    is_dearer = (
        (before == _SUCCEEDED) & (now == _SUCCEEDED) & (rows["charged_rupiah"] != rows["before_rupiah"])
    )
    has_changed = before.isin(FINAL) & ((before != now) | is_dearer) & rows["ended_at"].notna()
    row: Any
    for row in rows[has_changed].itertuples(index=False):
        day = _certified_day(books, row.ended_at, days)
        if day is None:
            continue
        was = int(row.before_rupiah) if row.before_state == _SUCCEEDED else 0
        is_ = int(row.charged_rupiah) if row.state == _SUCCEEDED else 0
        yield Adjustment(
            certified_day=day,
            request_id=row.request_id,
            order_id=printable(row.order_id),
            what="ended otherwise than the certified day has reported",
            reported=str(row.before_state),
            now=str(row.state),
            amount_rupiah=was - is_,
            position=int(row.last_position),
        )


def _of_top_ups(books: AccountBooks, span: Span, days: set[date], since: int) -> Iterator[Adjustment]:
    for posted in books.top_ups:
        if posted.posted.position <= since or posted.event.credited_at > span.opening_at:
            continue
        day = _certified_day(books, posted.event.credited_at, days)
        if day is not None:
            yield Adjustment(
                certified_day=day,
                request_id="",
                order_id=posted.event.reference,
                what="a top-up of the certified day was recorded later",
                reported="nothing",
                now="topped up",
                amount_rupiah=posted.event.amount_rupiah,
                position=posted.posted.position,
            )


def _certified_day(books: AccountBooks, moment: datetime, days: set[date]) -> date | None:
    """Return which of the certified ``days`` a moment is in, by the cut-offs they were closed with."""
    day = day_of(books, moment, 0)
    return day if day in days else None
