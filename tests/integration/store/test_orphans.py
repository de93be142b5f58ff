"""Clients that are gone or slow, and idle timeouts of an administrator: appends go on, our sessions live."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing

import psycopg2
import pytest
from psycopg2 import errors

from sat_hook.store import database as database_module
from sat_hook.store.database import Database
from sat_hook.store.errors import StoreUnavailableError
from sat_hook.store.migrations import ROLE_SETTINGS, ROLES
from sat_hook.store.postgres import PostgresEventStore
from stack.databases import ApplicationDatabase
from tests.integration.test_notifications import as_superuser
from tests.orders import BY_TEST, T0, change_of, received
from tests.sql import execute

HARD = {
    "idle_in_transaction_session_timeout": "300ms",
    "idle_session_timeout": "300ms",
    "transaction_timeout": "300ms",
    "statement_timeout": "300ms",
    "lock_timeout": "300ms",
}
LONGER_SECONDS = 0.6


@pytest.fixture
def store(database: ApplicationDatabase) -> Iterator[PostgresEventStore]:
    """The store of the pipeline's role."""
    with closing(Database(database.writer_dsn, "orphans")) as opened:
        yield PostgresEventStore(opened)


@pytest.fixture
def hardened(database: ApplicationDatabase) -> ApplicationDatabase:
    """An administrator has ended all patience, with a second for minutes."""
    for name, value in HARD.items():
        as_superuser(
            database, f"ALTER ROLE sat_writer IN DATABASE \"{database.name}\" SET {name} = '{value}'"
        )
    return database


def test_appends_go_on_while_a_position_is_closed_behind_an_orphan(
    store: PostgresEventStore, database: ApplicationDatabase
) -> None:
    """An open transaction holds the log's lock. Who closes a position waits for it, appends hardly do."""
    longest = 0.0
    closed: list[int] = []
    with closing(psycopg2.connect(database.writer_dsn)) as orphan:
        orphan.cursor().execute("SELECT pg_advisory_xact_lock_shared(sat.log_lock_key())")
        closing_thread = threading.Thread(target=lambda: closed.append(store.close_position()))
        closing_thread.start()
        for number in range(1, 9):
            began = time.monotonic()
            store.append([change_of(None, number, received(number))], BY_TEST, T0)
            longest = max(longest, time.monotonic() - began)
            time.sleep(0.6)
        assert closing_thread.is_alive()
        assert longest < 10
    closing_thread.join(60)
    assert closed == [8]


def test_an_orphan_is_ended_by_the_server(database: ApplicationDatabase) -> None:
    """Sessions that set nothing, for example psql, have the defaults of their roles: a minute."""
    with closing(psycopg2.connect(database.superuser_dsn)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT rolname, rolconfig FROM pg_roles WHERE rolname = ANY (%s)", (list(ROLES),))
        found = {role: set(config) for role, config in cursor.fetchall()}
    wanted = {f"{name}={value}" for name, value in ROLE_SETTINGS.items()}
    assert "idle_in_transaction_session_timeout=60s" in wanted
    assert all(found[role] >= wanted for role in ROLES)


def test_our_own_orphans_are_ended_by_the_server(
    store: PostgresEventStore, database: ApplicationDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that stands still inside a transaction loses it, with its locks, and hears our own error."""
    monkeypatch.setattr(database_module, "IDLE_IN_TRANSACTION_MILLISECONDS", 300)

    def report_rollback() -> None:
        with store.database.transaction() as connection:
            connection.cursor().execute("SELECT pg_advisory_xact_lock_shared(sat.log_lock_key())")
            time.sleep(LONGER_SECONDS)
            assert execute(
                database.superuser_dsn, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
            )[0] == (0,)
            connection.cursor().execute("SELECT 1")

    with pytest.raises(StoreUnavailableError):
        report_rollback()
    store.append([change_of(None, 1, received(1))], BY_TEST, T0)


@pytest.mark.parametrize("is_snapshot", [True, False], ids=["a snapshot", "a transaction that writes"])
def test_an_administrators_timeouts_do_not_end_our_transactions(
    hardened: ApplicationDatabase, is_snapshot: bool
) -> None:
    """Computing inside a transaction, slow statements and pooled connections outlive a usual hardening."""
    with closing(Database(hardened.writer_dsn)) as database:
        for _ in range(2):
            with database.transaction(snapshot=is_snapshot) as connection:
                time.sleep(LONGER_SECONDS)
                connection.cursor().execute(f"SELECT pg_sleep({LONGER_SECONDS})")
            time.sleep(LONGER_SECONDS)


def test_an_administrators_timeouts_do_not_end_who_listens(hardened: ApplicationDatabase) -> None:
    """A session that listens is idle most of the time."""
    with closing(Database(hardened.writer_dsn)) as database:
        listener = database.listen("sat_any")
        assert listener is not None
        with closing(listener):
            time.sleep(LONGER_SECONDS)
            listener.cursor().execute("SELECT 1")


def test_closing_a_position_keeps_no_lock(database: ApplicationDatabase) -> None:
    """A role that may close a position cannot keep appends out by leaving the transaction open."""
    with (
        closing(psycopg2.connect(database.reader_dsn)) as reader,
        closing(Database(database.writer_dsn)) as opened,
    ):
        reader.cursor().execute("SELECT sat.close_position()")
        began = time.monotonic()
        PostgresEventStore(opened).append([change_of(None, 1, received(1))], BY_TEST, T0)
        assert time.monotonic() - began < 10


def test_closing_a_position_that_fails_keeps_no_lock(database: ApplicationDatabase) -> None:
    """The lock is one of the session: a refusal on the way gives it back, in the same session."""
    with (
        closing(psycopg2.connect(database.writer_dsn)) as orphan,
        closing(psycopg2.connect(database.writer_dsn)) as session,
    ):
        orphan.cursor().execute("SELECT pg_advisory_xact_lock_shared(sat.log_lock_key())")
        with pytest.raises(errors.LockNotAvailable):
            session.cursor().execute("SELECT sat.close_position()")
        session.rollback()
        orphan.rollback()
        with session.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
            assert cursor.fetchone() == (0,)
