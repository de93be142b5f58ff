"""Selects orders for a status query before a day is closed: open, disputed, unsigned; never all."""

from __future__ import annotations

from sat_hook.domain.breaks import MatchKind
from sat_hook.domain.business_day import BusinessDay
from sat_hook.reconciliation.bookkeeper import BookKeeper
from sat_hook.reconciliation.status_match import OPEN_STATES
from sat_hook.store.days import ended_by_people
from sat_hook.store.event_store import each_order_of_account

MAXIMUM_ORDERS = 20_000


def orders_to_ask(
    keeper: BookKeeper, account: str, day: BusinessDay, limit: int = MAXIMUM_ORDERS
) -> list[str]:
    """Return request ids of orders without an end, named by a carried break, or ended by a person since the
    day began.

    Disputed ones come first, because a day has room for ``limit`` questions.
    """
    books = keeper.books(account)
    last = books.before(day.day)
    carried = books.carried_from(last) if last is not None else []
    disputed = [
        item.request_id
        for item in carried
        if item.request_id and item.match in (MatchKind.EVIDENCE, MatchKind.SETTLEMENT)
    ]
    unsigned = ended_by_people(keeper.store.database, account, day.opens_at)
    still_open = (order.request_id for order in each_order_of_account(keeper.store, account, OPEN_STATES))
    wanted = dict.fromkeys((*disputed, *unsigned, *still_open))
    known = keeper.store.load_orders(disputed)
    foreign = {key for key in disputed if key not in known}
    return [key for key in wanted if key not in foreign][:limit]
