"""Funds in memory, beside the in-memory event store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from sat_hook.domain.funds import (
    BalanceObservation,
    Outstanding,
    commitment_of,
    is_reserved,
    may_come_back_rupiah,
    outstanding,
)
from sat_hook.domain.order import OrderState
from sat_hook.store.event_store import EventStore
from sat_hook.store.funds import AccountFunds, Unreserved
from sat_hook.testing.event_store import MemoryEventStore


class MemoryFunds:
    """:class:`FundsStore` beside a :class:`MemoryEventStore`: single-threaded, so it needs no lock."""

    def __init__(self, store: MemoryEventStore) -> None:
        self._store = store
        self.observations: list[BalanceObservation] = []
        self.compared: list[BalanceObservation] = []

    @contextmanager
    def locked(self, account: str) -> Iterator[AccountFunds]:
        yield _MemoryAccountFunds(self, self._store, account)

    @contextmanager
    def looking(self, account: str) -> Iterator[AccountFunds]:
        yield _MemoryAccountFunds(self, self._store, account)


class _MemoryAccountFunds:
    def __init__(self, funds: MemoryFunds, store: MemoryEventStore, account: str) -> None:
        self._funds = funds
        self._events = store
        self._account = account
        self.store: EventStore = store

    def record(self, observation: BalanceObservation, *, is_compared: bool) -> None:
        self._funds.observations.append(observation)
        if is_compared:
            self._funds.compared.append(observation)

    def last_observation(self) -> BalanceObservation | None:
        mine = [seen for seen in self._funds.observations if seen.account == self._account]
        # Of several that began at the same moment the last recorded one counts, as in the database.
        return max(reversed(mine), key=lambda seen: seen.requested_at, default=None)

    def last_compared(self) -> BalanceObservation | None:
        mine = (seen for seen in reversed(self._funds.compared) if seen.account == self._account)
        return next(mine, None)

    def outstanding(self, included_before: datetime) -> Outstanding:
        orders = (order for order in self._events.orders.values() if order.account == self._account)
        commitments = (commitment_of(order, self._reserved_up_to_row(order.batch_id)) for order in orders)
        return outstanding((found for found in commitments if found is not None), included_before)

    def may_come_back_rupiah(self, since: datetime) -> int:
        orders = (order for order in self._events.orders.values() if order.account == self._account)
        return sum(may_come_back_rupiah(order, since) for order in orders)

    def unreserved(self, batch_id: str) -> list[Unreserved]:
        up_to_row = self._reserved_up_to_row(batch_id)
        found = [
            Unreserved(
                order.request_id, order.row_number, order.quote_rupiah or 0, order.must_be_reserved_again
            )
            for order in self._events.orders.values()
            if order.batch_id == batch_id
            and order.state is OrderState.QUOTED
            and not is_reserved(order, up_to_row)
        ]
        return sorted(found, key=lambda order: order.row_number)

    def _reserved_up_to_row(self, batch_id: str) -> int:
        batch = self._events.batches.get(batch_id)
        return batch.reserved_up_to_row if batch is not None else 0
