"""Funds: observations of a deposit, its commitments, and the lock for making new ones.

:meth:`FundsStore.locked` is one transaction under one lock per account: what is read inside it stays true
    until what is appended inside it is committed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from psycopg2.extensions import connection as Connection

from sat_hook.domain.funds import BalanceObservation, Outstanding
from sat_hook.store.database import Database, OneTransaction
from sat_hook.store.event_store import EventStore
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.store.statements import queries


@dataclass(frozen=True, slots=True)
class Unreserved:
    """A quoted order without reserved funds; ``must_be_renewed`` if it had, or may have had, some."""

    request_id: str
    row_number: int
    quote_rupiah: int
    must_be_renewed: bool


class AccountFunds(Protocol):
    """One account's deposit according to the log and the observations.

    Every method may raise :class:`~sat_hook.store.errors.StoreUnavailableError`.
    """

    @property
    def store(self) -> EventStore:
        """The event store inside the same transaction: its appends commit with the rest."""

    def record(self, observation: BalanceObservation, *, is_compared: bool) -> None:
        """Store one observation of the deposit, as evidence."""

    def last_observation(self) -> BalanceObservation | None:
        """The newest observation; None before the first."""

    def last_compared(self) -> BalanceObservation | None:
        """The newest observation in the sequence of compared saldos."""

    def outstanding(self, included_before: datetime) -> Outstanding:
        """The commitments that are not proven debited before a moment."""

    def may_come_back_rupiah(self, since: datetime) -> int:
        """The most that refunds may bring, of orders in flight or ended without success ``since`` then."""

    def unreserved(self, batch_id: str) -> list[Unreserved]:
        """The batch's quoted orders without reserved funds, by row number."""


class FundsStore(Protocol):
    """Opens the funds of an account."""

    def locked(self, account: str) -> AbstractContextManager[AccountFunds]:
        """For new commitments: an exclusive transaction on this account, committed at the block's end."""

    def looking(self, account: str) -> AbstractContextManager[AccountFunds]:
        """For reading only. What is read may have changed by the time it is used."""


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
