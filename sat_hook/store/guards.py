"""The data that the guards read, and the account lock under which they read and append."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import date, datetime
from typing import Protocol

from psycopg2.extensions import connection as Connection

from sat_hook.domain.guards import Usage, batch_scope, day_scope
from sat_hook.domain.order import Order
from sat_hook.store.database import Database, OneTransaction
from sat_hook.store.event_store import EventStore
from sat_hook.store.order_rows import order_of
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.store.statements import queries

ROWS_OF_A_SCOPE = 20
"""Rows of a day or batch that the guards leave standing before they put them together."""
EVERY_DAY = "day/9999-01-01"
"""Orders that were not rebuilt after an upgrade: they count on every day."""


class LockedAccount(Protocol):
    """An account locked for the guards. What ``store`` appends is committed when the lock is released."""

    @property
    def store(self) -> EventStore:
        """The event store, inside the same transaction as the lock and the reads."""

    def kin(self, orders: Sequence[Order], since: datetime) -> list[Order]:
        """The account's orders that count since then, with product and client number of any of these."""

    def used_by_batch(self, batch_id: str, without: Sequence[str]) -> Usage:
        """The usage by the batch's orders that count, without the given request ids."""

    def used_on(self, day: date) -> Usage:
        """The usage by the account's orders that began to count on this business day."""


class GuardLedger(Protocol):
    """Locks accounts for the guards, one holder at a time."""

    def locked(self, account: str) -> AbstractContextManager[LockedAccount]:
        """Lock the account for the block; committed at its end, rolled back on any exception.

        Keep the block short: its appends delay the settling of log positions.

        :raises StoreUnavailableError: when the database gave up, or another holder kept the lock too long.
        """

    def reading(self, account: str) -> AbstractContextManager[LockedAccount]:
        """Like :meth:`locked`, without the lock: for checks that append nothing."""


class PostgresGuardLedger:
    """:class:`GuardLedger` on the application database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def locked(self, account: str) -> Iterator[LockedAccount]:
        with self._database.transaction() as connection:
            queries("guards").lock_account(connection, account=account)
            yield _LockedAccount(connection, account, is_locked=True)

    @contextmanager
    def reading(self, account: str) -> Iterator[LockedAccount]:
        with self._database.transaction() as connection:
            yield _LockedAccount(connection, account, is_locked=False)


class _LockedAccount:
    def __init__(self, connection: Connection, account: str, *, is_locked: bool) -> None:
        self._connection = connection
        self._account = account
        self._is_locked = is_locked
        self._guards = queries("guards")
        self.store: EventStore = PostgresEventStore(OneTransaction(connection))

    def kin(self, orders: Sequence[Order], since: datetime) -> list[Order]:
        rows = self._guards.kin(
            self._connection,
            account=self._account,
            product_codes=[order.product_code for order in orders],
            client_numbers=[order.client_number for order in orders],
            since=since,
        )
        return [order_of(row) for row in rows]

    def used_by_batch(self, batch_id: str, without: Sequence[str]) -> Usage:
        return self._usage([batch_scope(batch_id)], without)

    def used_on(self, day: date) -> Usage:
        return self._usage([day_scope(day), EVERY_DAY])

    def _usage(self, scopes: list[str], without: Sequence[str] = ()) -> Usage:
        chosen = {"account": self._account, "scopes": scopes}
        *used, rows = self._guards.usage(self._connection, **chosen, without=list(without))
        if self._is_locked and rows > ROWS_OF_A_SCOPE:
            self._guards.put_usage_together(self._connection, **chosen)
        return Usage(*used)
