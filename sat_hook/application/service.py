"""What all services of the application have: an installation, with its log, its database and its accounts."""

from __future__ import annotations

from dataclasses import dataclass

from sat_hook.application.installation import Installation
from sat_hook.clients.clock import SystemClock
from sat_hook.commands.handler import CommandHandler
from sat_hook.domain.ports import Clock
from sat_hook.reconciliation.bookkeeper import BookKeeper
from sat_hook.store.clock import shared_clock
from sat_hook.store.database import Database
from sat_hook.store.postgres import PostgresEventStore


def clock_on(store: PostgresEventStore) -> Clock:
    """The clock that all servers on one database share."""
    return shared_clock(store, SystemClock())


def handler_on(store: PostgresEventStore) -> CommandHandler:
    """The handler for a person's command."""
    return CommandHandler(store, clock_on(store))


@dataclass(frozen=True, slots=True)
class Service:
    """A group of use cases. Accounts are named by their connections or by their names in the log.

    Every method checks the person's rights, and raises
    :class:`~sat_hook.application.errors.RightMissingError` without the right for it.
    """

    installation: Installation

    @property
    def store(self) -> PostgresEventStore:
        return self.installation.store()

    @property
    def database(self) -> Database:
        return self.store.database

    @property
    def clock(self) -> Clock:
        """The database's time."""
        return clock_on(self.store)

    @property
    def handler(self) -> CommandHandler:
        """The handler for a person's command."""
        return handler_on(self.store)

    @property
    def keeper(self) -> BookKeeper:
        return BookKeeper(self.store, self.clock)

    def account_of(self, named: str) -> str:
        """An account's name in the log, by that name or by its connection."""
        return self.installation.accounts.account_of(named)
