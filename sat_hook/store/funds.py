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
)
from sat_hook.store.database import Database, OneTransaction
from sat_hook.store.event_store import EventStore
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
