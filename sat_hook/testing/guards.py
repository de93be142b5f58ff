"""The guards' ledger in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime

from sat_hook.domain.business_day import business_day
from sat_hook.domain.guards import Usage, amount_of, counted_at, counts
from sat_hook.domain.order import Order
from sat_hook.store.event_store import EventStore
from sat_hook.store.guards import LockedAccount
from sat_hook.testing.event_store import MemoryEventStore


class MemoryGuardLedger:
    """:class:`GuardLedger` over the event store in memory: single-threaded, so it needs no lock."""

    def __init__(self, store: MemoryEventStore) -> None:
        self._store = store

    @contextmanager
    def locked(self, account: str) -> Iterator[LockedAccount]:
        yield _MemoryAccount(self._store, account)

    reading = locked


class _MemoryAccount:
    def __init__(self, store: MemoryEventStore, account: str) -> None:
        self._memory = store
        self._account = account
        self.store: EventStore = store

    def kin(self, orders: Sequence[Order], since: datetime) -> list[Order]:
        keys = {(order.product_code, order.client_number) for order in orders}
        found = [
            (moment, order.request_id, order)
            for order in self._of_account()
            if (order.product_code, order.client_number) in keys
            and counts(order)
            and (moment := counted_at(order)) is not None
            and moment > since
        ]
        return [order for _, _, order in sorted(found, key=lambda item: item[:2])]

    def used_by_batch(self, batch_id: str, without: Sequence[str]) -> Usage:
        left_out = set(without)
        return _sum(o for o in self._of_account() if o.batch_id == batch_id and o.request_id not in left_out)

    def used_on(self, day: date) -> Usage:
        return _sum(
            order
            for order in self._of_account()
            if (moment := counted_at(order)) is not None and business_day(moment) == day
        )

    def _of_account(self) -> Iterator[Order]:
        return (order for order in self._memory.orders.values() if order.account == self._account)


def _sum(orders: Iterator[Order]) -> Usage:
    used = Usage()
    for order in orders:
        if counts(order):
            used = used.plus(amount_of(order))
    return used
