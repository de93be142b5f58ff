"""The log only grows: by privilege for the roles, by trigger for the owner, by lock for its readers."""

from __future__ import annotations

import threading
import time

import psycopg2
import psycopg2.errors
import pytest

from sat_hook.store.database import Database
from sat_hook.store.errors import StoreUnavailableError
from sat_hook.store.postgres import PostgresEventStore
from stack.databases import ApplicationDatabase
from tests.orders import BY_TEST, T0, change_of, received, stream_of
from tests.sql import execute

EVIDENCE_TABLES = ("sat.events", "sat.status_evidence", "sat.callback_inbox")


@pytest.fixture
def filled(database: ApplicationDatabase) -> ApplicationDatabase:
    """A database with one order in its log."""
    store = PostgresEventStore(Database(database.writer_dsn))
    store.append([change_of(None, 1, received(1))], BY_TEST, T0)
    store.database.close()
    return database


@pytest.mark.parametrize("table", EVIDENCE_TABLES)
@pytest.mark.parametrize("statement", ["DELETE FROM {}", "TRUNCATE {}", "UPDATE {} SET digest = digest"])
def test_even_the_owner_cannot_change_evidence(
    filled: ApplicationDatabase, table: str, statement: str
) -> None:
    """The trigger refuses what the owner's privileges would allow."""
    with pytest.raises(psycopg2.errors.RestrictViolation, match="only grows"):
        execute(filled.owner_dsn, statement.format(table))


@pytest.mark.parametrize("table", EVIDENCE_TABLES)
@pytest.mark.parametrize("statement", ["DELETE FROM {}", "TRUNCATE {}", "UPDATE {} SET digest = digest"])
def test_the_writer_has_no_privilege_to_change_evidence(
    filled: ApplicationDatabase, table: str, statement: str
) -> None:
    """Append-only is a privilege and not a hope."""
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        execute(filled.writer_dsn, statement.format(table))


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO sat.events DEFAULT VALUES",
        "DELETE FROM sat.orders",
        "SELECT body FROM sat.status_evidence",
        "SELECT body FROM sat.callback_inbox",
        "SELECT sat.receive_callback('a', 'b', 'c', '', 'd', 'e', 'f', 'g')",
    ],
)
def test_the_reader_neither_writes_nor_sees_goods(filled: ApplicationDatabase, statement: str) -> None:
    """People read states and events; vouchers and raw callbacks stay out of reach."""
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        execute(filled.reader_dsn, statement)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM sat.events",
        "SELECT * FROM sat.orders",
        "SELECT * FROM sat.callback_inbox",
        "SELECT sat.close_position()",
    ],
)
def test_the_receiver_can_do_one_thing_only(filled: ApplicationDatabase, statement: str) -> None:
    """An intruder in the receiver has a role that can add a verified callback and nothing else."""
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        execute(filled.receiver_dsn, statement)


@pytest.mark.parametrize(
    ("table", "given"),
    [
        ("events", "position"),
        ("events", "recorded_at"),
        ("status_evidence", "recorded_at"),
        ("checkpoints", "recorded_at"),
    ],
)
def test_place_and_time_of_recording_are_the_databases_own(
    filled: ApplicationDatabase, table: str, given: str
) -> None:
    """A role that may append cannot say that something was in the log before it was."""
    value = "'2020-01-01'" if given == "recorded_at" else "0"
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        execute(
            filled.writer_dsn, f"INSERT INTO sat.{table} ({given}) OVERRIDING SYSTEM VALUE VALUES ({value})"
        )


def test_closing_a_position_waits_for_appends_in_flight(database: ApplicationDatabase) -> None:
    """An append that took a low position and commits late is not missed: closing waits for it."""
    store = PostgresEventStore(Database(database.writer_dsn))
    slow = psycopg2.connect(database.writer_dsn)
    with slow.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(sat.log_lock_key())")
    store.append([change_of(None, 1, received(1))], BY_TEST, T0)  # appends do not wait for each other

    closed: list[int] = []
    closing = threading.Thread(target=lambda: closed.append(store.close_position()))
    closing.start()
    closing.join(timeout=0.3)
    assert closing.is_alive(), "closing a position must wait while an append is in flight"
    slow.rollback()
    closing.join(timeout=60)
    slow.close()
    assert closed == [1]
    store.database.close()


def test_two_writers_of_one_order_leave_one_winner(database: ApplicationDatabase) -> None:
    """Many threads append the same version; exactly one is accepted."""
    store = PostgresEventStore(Database(database.writer_dsn))
    barrier = threading.Barrier(8)
    conflicts: list[int] = []

    def write() -> None:
        barrier.wait()
        conflicts.append(len(store.append([change_of(None, 1, received(1))], BY_TEST, T0)))

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(conflicts) == [0] + [1] * 7
    assert len(store.read_stream(stream_of(1))) == 1
    store.database.close()


def test_an_unreachable_database_is_a_typed_error_without_the_password() -> None:
    """The pipeline's own trouble has a name, and its text gives nothing away."""
    database = Database("host=127.0.0.1 port=1 user=u password=very-secret dbname=d")
    with pytest.raises(StoreUnavailableError) as caught, database.transaction():
        pass
    assert "very-secret" not in str(caught.value)
    assert "very-secret" not in repr(database)


def test_a_connection_that_the_server_ended_while_idle_is_not_used_again(
    filled: ApplicationDatabase,
) -> None:
    """After a restart of PostgreSQL the first transaction works: the dead connection is noticed."""
    database = Database(filled.writer_dsn, "ended-while-idle")
    store = PostgresEventStore(database)
    assert len(store.read_stream(stream_of(1))) == 1
    execute(
        filled.superuser_dsn,
        "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity"
        " WHERE application_name = 'ended-while-idle'",
    )
    time.sleep(0.5)  # the server's farewell is on its way
    assert len(store.read_stream(stream_of(1))) == 1
    database.close()
