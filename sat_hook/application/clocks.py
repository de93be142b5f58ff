"""The clock of what people do, and the handler on it: the database's time, whichever server is asked."""

from __future__ import annotations

from sat_hook.clients.clock import SystemClock
from sat_hook.commands.handler import CommandHandler
from sat_hook.domain.ports import Clock
from sat_hook.store.clock import shared_clock
from sat_hook.store.postgres import PostgresEventStore


def clock_on(store: PostgresEventStore) -> Clock:
    """The clock that all servers on one database share."""
    return shared_clock(store, SystemClock())


def handler_on(store: PostgresEventStore) -> CommandHandler:
    """The handler for a person's command."""
    return CommandHandler(store, clock_on(store))
