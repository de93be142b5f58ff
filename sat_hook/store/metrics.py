"""Reads the figures that are scraped: what is open now, by an index, each statement within a time limit."""

from __future__ import annotations

from typing import Any, NamedTuple

from sat_hook.store.statements import Statements

STATEMENT_MILLISECONDS = 2_000
"""A slower statement is given up; only its figures are then missing."""

MAXIMUM_BATCHES = 500
MAXIMUM_ORDERS_OF_A_BATCH = 100_000
MAXIMUM_CHANGED_ORDERS = 50_000
MAXIMUM_LOOKED_AT = 10_000


class OrdersFound(NamedTuple):
    """Orders of an account in a state.

    :param reason: the reason code; empty when there is none.
    :param oldest_seconds: the age of the oldest; None where ages are not read.
    """

    account: str
    state: str
    reason: str
    orders: int
    oldest_seconds: float | None = None


class Waiting(NamedTuple):
    """What waits of an account, and for how long the first of it has."""

    account: str
    waiting: int
    oldest_seconds: float


class SharedLimit(NamedTuple):
    """The limits that the processes of an account share, as they are used now."""

    account: str
    booked_seconds: float
    permits_held: int
    permits_wanted: int


class LogFigures(NamedTuple):
    """The log as a whole."""

    position: int
    commits: int
    uncovered_seconds: float


class MetricsTables(Statements, room="metrics"):
    """Reads with any role that may read."""

    def open_orders(self) -> list[OrdersFound]:
        """Orders that may be at SAT or wait for a person, with the age of the oldest."""
        rows = [*self._limited(self._sql.orders_in_flight), *self._limited(self._sql.orders_of_people)]
        return [OrdersFound(*row) for row in rows]

    def orders_of_open_batches(self) -> list[OrdersFound]:
        """The other orders of batches that have not ended."""
        rows = self._limited(
            self._sql.orders_of_open_batches, batches=MAXIMUM_BATCHES, orders=MAXIMUM_ORDERS_OF_A_BATCH
        )
        return [OrdersFound(*row) for row in rows]

    def changed_orders(self) -> list[OrdersFound]:
        """Orders whose last event is at most a minute old."""
        return [
            OrdersFound(*row)
            for row in self._limited(self._sql.orders_changed, orders=MAXIMUM_CHANGED_ORDERS)
        ]

    def open_batches(self) -> list[tuple[str, str, int, float]]:
        """Account, state, number of batches that have not ended, and the age of the oldest in seconds."""
        return self._limited(self._sql.open_batches)

    def callbacks_waiting(self) -> list[Waiting]:
        """Callbacks about known orders that have not led to a status query yet."""
        rows = self._limited(self._sql.callbacks_waiting, looked=MAXIMUM_LOOKED_AT)
        return [Waiting(*row) for row in rows]

    def polls_due(self) -> list[Waiting]:
        """Status queries that are due."""
        return [Waiting(*row) for row in self._limited(self._sql.polls_due)]

    def limits(self) -> list[SharedLimit]:
        return [SharedLimit(*row) for row in self._limited(self._sql.limits)]

    def accounts_with_a_deposit(self) -> list[str]:
        return [account for (account,) in self._limited(self._sql.accounts_with_a_deposit)]

    def log(self) -> LogFigures:
        return LogFigures(*self._limited(self._sql.log))

    def standing_breaks(self) -> list[tuple[str, str, str, int, int]]:
        """Account, state, age, number of breaks, and their size in rupiah."""
        return self._limited(self._sql.standing_breaks)

    def webhook_messages(self) -> list[tuple[str, str, int]]:
        """Webhook, state, and number of messages that wait or were given up."""
        return self._limited(self._sql.webhook_messages, looked=MAXIMUM_LOOKED_AT)

    def _limited(self, statement: Any, **arguments: Any) -> list[Any]:
        with self._database.transaction() as connection:
            self._sql.limit_time(connection, milliseconds=STATEMENT_MILLISECONDS)
            return list(statement(connection, **arguments))
