"""Prior-period adjustments: later evidence about certified days, posted in the open day."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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


def order_adjustments(
    reader: DayReader, books: AccountBooks, rows: pd.DataFrame, span: Span
) -> list[list[Adjustment]]:
    """Return what changed for orders of certified days since the last close that could report it, for each
    such close.

    For a day certified before the last close, that is the last close. For a day certified after later days
    had been closed, it is the day's own close.

    :param rows: the ledger of the day, or of a partition.
    """
    found: list[list[Adjustment]] = []
    for since, days in _certified_since(books):
        changed: pd.DataFrame | None = rows
        if since != span.before:
            ended_again = reader.ended_again(since)
            again = replace(span, before=since, follows=False)
            changed = ledger_of(reader, again, ended_again) if ended_again else None
        found.append([] if changed is None else list(_of_orders(books, changed, days)))
    return found


def all_adjustments(
    books: AccountBooks, span: Span, of_orders: Sequence[Sequence[Sequence[Adjustment]]]
) -> tuple[Adjustment, ...]:
    """Return those of orders and of top-ups.

    :param of_orders: what :func:`order_adjustments` returned for each partition.
    """
    found: list[Adjustment] = []
    for place, (since, days) in enumerate(_certified_since(books)):
        for part in of_orders:
            found += part[place]
        found += _of_top_ups(books, span, days, since)
    return tuple(found)


def _certified_since(books: AccountBooks) -> list[tuple[int, set[date]]]:
    """Return the positions up to which certified days were told, each with these days."""
    told: dict[int, set[date]] = {}
    for day, certificate in books.certified.items():
        told.setdefault(books.told_up_to(certificate), set()).add(day)
    return sorted(told.items())


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
