"""The application database through an Airflow connection, and the pipeline's stores in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import cached_property
from typing import Any, NamedTuple

from airflow.sdk import BaseHook, Connection
from psycopg2.extensions import make_dsn

from sat_hook.application.settings import read_settings
from sat_hook.clients.clock import SystemClock
from sat_hook.commands.handler import CommandHandler
from sat_hook.hooks.telemetry import watch_as_airflow_does
from sat_hook.store.alerts import AlertBook
from sat_hook.store.batch_lists import BatchLists
from sat_hook.store.clock import StoreClock
from sat_hook.store.database import Database, borrow, give_back
from sat_hook.store.errors import StoreUnavailableError
from sat_hook.store.funds import PostgresFunds
from sat_hook.store.order_intake import OrderIntake
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.store.rechecks import PostgresRecheckSchedule

DEFAULT_CONNECTION = "sat_db"
PASSED_EXTRAS = ("sslmode", "sslrootcert", "sslcert", "sslkey", "target_session_attrs")
LISTEN_EXTRAS = {"listen_host": "host", "listen_port": "port", "listen_database": "dbname"}


class DatabaseWays(NamedTuple):
    """The DSN of the application database, and the DSN for listening when it differs."""

    dsn: str
    listen_dsn: str | None


class ApplicationHook(BaseHook):
    """Opens the application database of connection ``sat_db`` (type postgres, role sat_writer).

    It is the pipeline's own database, never Airflow's metadata.

    :param db_conn_id: the connection's id.
    :param component: shown as ``application_name`` in PostgreSQL.
    :raises BadLimitError: when an environment variable of the deployment is wrong or misspelled.
    """

    def __init__(
        self, db_conn_id: str = DEFAULT_CONNECTION, component: str = "sat task", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.db_conn_id = db_conn_id
        self.component = component
        self._ways: DatabaseWays | None = None
        self.settings = read_settings()
        watch_as_airflow_does()

    async def aconnect(self) -> None:
        """Fetch the connection from an event loop, which lazy loading would block."""
        self._ways = ways_of(await self.aget_connection(self.db_conn_id))

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[Database]:
        """The database for a trigger: one pool for all triggers of the process that use this connection."""
        await self.aconnect()
        assert self._ways is not None
        way = (self._ways.dsn, self.component, self._ways.listen_dsn)
        self.database = borrow(*way)
        try:
            yield self.database
        finally:
            await asyncio.to_thread(give_back, *way)

    async def has_moved(self) -> bool:
        """Whether the connection has changed, for example its password.

        False while this is unknown because Airflow cannot be reached.
        """
        try:
            return ways_of(await self.aget_connection(self.db_conn_id)) != self._ways
        except Exception as error:
            # The error's text may name the server and its user.
            self.log.warning("Connection %s could not be read: %s", self.db_conn_id, type(error).__name__)
            return False

    @cached_property
    def database(self) -> Database:
        """The database. It connects when it is first used, so it does not raise here."""
        if self._ways is None:
            self._ways = ways_of(self.get_connection(self.db_conn_id))
        return Database(self._ways.dsn, self.component, listen_dsn=self._ways.listen_dsn)

    @cached_property
    def store(self) -> PostgresEventStore:
        """The event store."""
        return PostgresEventStore(self.database)

    @cached_property
    def handler(self) -> CommandHandler:
        """The command handler, with the database's clock."""
        clock = StoreClock(self.store, SystemClock())
        if not _is_in_event_loop():
            # A trigger asks for the time in its threads; code that needs the database reports its absence.
            with suppress(StoreUnavailableError):
                clock.measure()
        return CommandHandler(self.store, clock)

    @cached_property
    def funds(self) -> PostgresFunds:
        """Deposits: their observations and their committed amounts."""
        return PostgresFunds(self.database)

    @cached_property
    def alerts(self) -> AlertBook:
        """Alerts."""
        return AlertBook(self.database)

    @cached_property
    def batch_lists(self) -> BatchLists:
        """Batches and how their orders stand."""
        return BatchLists(self.database)

    @cached_property
    def rechecks(self) -> PostgresRecheckSchedule:
        """The rechecks of ended orders."""
        return PostgresRecheckSchedule(self.database)

    @cached_property
    def intake(self) -> OrderIntake:
        """The table ``order_intake``."""
        return OrderIntake(self.database)


def _is_in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def ways_of(connection: Connection) -> DatabaseWays:
    """libpq's DSNs of an Airflow connection of type postgres."""
    extras = connection.extra_dejson
    dsn = make_dsn(
        host=connection.host,
        port=connection.port or 5432,
        dbname=connection.schema,
        user=connection.login,
        password=connection.password,
        **{name: value for name, value in extras.items() if name in PASSED_EXTRAS},
    )
    listening = {LISTEN_EXTRAS[name]: value for name, value in extras.items() if name in LISTEN_EXTRAS}
    return DatabaseWays(dsn, make_dsn(dsn, **listening) if listening else None)
