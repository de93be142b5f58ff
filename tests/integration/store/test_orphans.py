"""Clients that are gone or slow, and idle timeouts of an administrator: appends go on, our sessions live."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from sat_hook.domain.order import OrderState
from sat_hook.store import database as database_module
from sat_hook.store import postgres
from sat_hook.store.database import Database
from sat_hook.store.errors import StoreBusyError, StoreUnavailableError
from sat_hook.store.migrations import ROLE_SETTINGS, ROLES
from sat_hook.store.postgres import PostgresEventStore
from stack.databases import ApplicationDatabase
from tests.integration.pipeline.test_steps import ready
from tests.integration.store.test_append_only import append_in_flight
from tests.integration.test_batch_trigger import QUICK_ENDS
from tests.integration.test_notifications import as_superuser
from tests.orders import BY_TEST, T0, change_of, received
from tests.pipeline import line_of
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


def test_appends_and_payments_go_on_behind_an_orphan(
    new_database: Callable[[], ApplicationDatabase], tmp_path: Path
) -> None:
    """A client died in the middle of an append and its transaction stays open: a batch is paid to its end."""
    database = new_database()
    with line_of(database.writer_dsn, tmp_path, QUICK_ENDS) as line, append_in_flight(database, 1):
        settled = line.store.horizon()
        batch_id = ready(line, 3)
        line.execute(batch_id)
        line.wait(batch_id)
        assert {order.state for order in line.orders(batch_id).values()} == {OrderState.SUCCEEDED}
        assert line.store.horizon() == settled


def test_who_needs_everything_stops_waiting_with_a_sentence(
    store: PostgresEventStore, database: ApplicationDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report waits for an append that began before the events it must show, and not for ever."""
    monkeypatch.setattr(postgres, "CLOSING_SECONDS", 0.3)
    with append_in_flight(database, 1):
        store.append([change_of(None, 2, received(2))], BY_TEST, T0)
        with pytest.raises(StoreBusyError, match="position 2 is committed, but the log is settled up to 0"):
            store.close_position()


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
            connection.cursor().execute("SELECT pg_advisory_xact_lock_shared(-1)")
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
