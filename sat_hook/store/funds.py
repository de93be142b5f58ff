"""Funds: looks at a deposit, what is committed of it, and the lock under which more is committed.

Everything between opening and closing :meth:`FundsStore.locked` is one transaction under one lock for each
account: what is read there stays true until what is appended there is committed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from psycopg2.extensions import connection as Connection

from sat_hook.domain.funds import (
    BalanceObservation,
    Outstanding,
    commitment_of,
    is_reserved,
    may_come_back_rupiah,
    outstanding,
)
from sat_hook.domain.order import OrderState
from sat_hook.store.database import Database, OneTransaction
from sat_hook.store.event_store import EventStore
from sat_hook.store.memory_events import MemoryEventStore
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.store.statements import queries


@dataclass(frozen=True, slots=True)
class Unreserved:
    """A quoted order behind which no funds stand; ``must_be_renewed`` when they did, or might have, once."""

    request_id: str
    row_number: int
    quote_rupiah: int
    must_be_renewed: bool


class AccountFunds(Protocol):
    """One account's deposit as the log and the observations tell it.

    Every method may raise :class:`~sat_hook.store.event_store.StoreUnavailableError`.
    """

    @property
    def store(self) -> EventStore:
        """The event store inside the same transaction: what is appended here commits with the rest."""

    def record(self, observation: BalanceObservation, *, is_compared: bool) -> None:
        """Keep one look at the deposit, as evidence."""

    def last_observation(self) -> BalanceObservation | None:
        """The newest look; None before the first."""

    def last_compared(self) -> BalanceObservation | None:
        """The last link of the chain of saldos that are compared with each other."""

    def outstanding(self, included_before: datetime) -> Outstanding:
        """The commitments that are not proven debited before a moment."""

    def may_come_back_rupiah(self, since: datetime) -> int:
        """The most that refunds may still bring, of orders under way or without success ``since`` then."""

    def unreserved(self, batch_id: str) -> list[Unreserved]:
        """The batch's quoted orders behind which no funds stand, by row number."""


class FundsStore(Protocol):
    """Opens the funds of an account."""

    def locked(self, account: str) -> AbstractContextManager[AccountFunds]:
        """To commit more: one transaction, alone on this account, committed at the end of the block."""

    def looking(self, account: str) -> AbstractContextManager[AccountFunds]:
        """To look only. What is read may have changed by the time it is used."""


class PostgresFunds:
    """:class:`FundsStore` on the application database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def locked(self, account: str) -> Iterator[AccountFunds]:
        with self._database.transaction() as connection:
            queries("funds").lock_funds(connection, account=account)
            yield _PostgresAccountFunds(connection, account)

    @contextmanager
    def looking(self, account: str) -> Iterator[AccountFunds]:
        with self._database.transaction() as connection:
            yield _PostgresAccountFunds(connection, account)


class _PostgresAccountFunds:
    def __init__(self, connection: Connection, account: str) -> None:
        self._connection = connection
        self._account = account
        self._funds = queries("funds")
        self.store: EventStore = PostgresEventStore(OneTransaction(connection))

    def record(self, observation: BalanceObservation, *, is_compared: bool) -> None:
        self._funds.record_observation(
            self._connection,
            account=observation.account,
            saldo_rupiah=observation.saldo_rupiah,
            requested_at=observation.requested_at,
            received_at=observation.received_at,
            response_digest=observation.response_digest,
            is_compared=is_compared,
        )

    def last_observation(self) -> BalanceObservation | None:
        return _observation(list(self._funds.last_observation(self._connection, account=self._account)))

    def last_compared(self) -> BalanceObservation | None:
        return _observation(list(self._funds.last_compared(self._connection, account=self._account)))

    def outstanding(self, included_before: datetime) -> Outstanding:
        ((reserved, sent),) = self._funds.outstanding(
            self._connection, account=self._account, included_before=included_before
        )
        return Outstanding(reserved, sent)

    def may_come_back_rupiah(self, since: datetime) -> int:
        return int(self._funds.may_come_back(self._connection, account=self._account, since=since))

    def unreserved(self, batch_id: str) -> list[Unreserved]:
        rows = self._funds.unreserved(self._connection, batch_id=batch_id)
        return [Unreserved(*row) for row in rows]


def _observation(rows: Sequence[Any]) -> BalanceObservation | None:
    return BalanceObservation(*rows[0]) if rows else None


class MemoryFunds:
    """:class:`FundsStore` beside a :class:`MemoryEventStore`: single-threaded, so being there is the lock."""

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
        # Of several that began at once the one recorded last counts, as in the database.
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
