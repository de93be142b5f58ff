"""The log only grows: by privilege for the roles, by trigger for the owner, by lock for its readers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from random import Random

import psycopg2
import psycopg2.errors
import pytest
from psycopg2.extensions import connection as Connection

from sat_hook.store.database import Database, OneTransaction
from sat_hook.store.errors import StoreUnavailableError
from sat_hook.store.postgres import PostgresEventStore
from stack.databases import ApplicationDatabase
from tests.at_once import at_once
from tests.orders import BY_TEST, T0, change_of, received, stream_of
from tests.sql import execute

POSITIONS = "SELECT position FROM sat.events ORDER BY position"
EVIDENCE_TABLES = ("sat.events", "sat.status_evidence", "sat.callback_inbox")


@pytest.fixture(scope="module")
def filled(module_database: ApplicationDatabase) -> ApplicationDatabase:
    """A database with one order in its log, for tests whose statements are all refused."""
    store = PostgresEventStore(Database(module_database.writer_dsn))
    store.append([change_of(None, 1, received(1))], BY_TEST, T0)
    store.database.close()
    return module_database


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


@contextmanager
def append_in_flight(database: ApplicationDatabase, number: int) -> Iterator[Connection]:
    """The transaction of an append of order ``number`` that has not ended."""
    with closing(psycopg2.connect(database.writer_dsn)) as connection:
        PostgresEventStore(OneTransaction(connection)).append(
            [change_of(None, number, received(number))], BY_TEST, T0
        )
        yield connection


def test_closing_a_position_waits_for_appends_in_flight(database: ApplicationDatabase) -> None:
    """An append that took a low position and commits late is not missed: closing waits for it."""
    store = PostgresEventStore(Database(database.writer_dsn))
    with append_in_flight(database, 2) as slow:
        store.append([change_of(None, 1, received(1))], BY_TEST, T0)  # appends do not wait for each other
        assert store.horizon() == 0

        closed: list[int] = []
        closing_thread = threading.Thread(target=lambda: closed.append(store.close_position()))
        closing_thread.start()
        closing_thread.join(timeout=0.3)
        assert closing_thread.is_alive(), "closing a position must wait while an older append is in flight"
        slow.commit()
        closing_thread.join(timeout=60)
    assert closed == [2]
    store.database.close()


def test_a_reader_misses_nothing_while_an_append_never_ends(database: ApplicationDatabase) -> None:
    """Appends go on beside it at once, positions close up to where it began, and a reader skips no event."""
    store = PostgresEventStore(Database(database.writer_dsn))
    store.append([change_of(None, 1, received(1))], BY_TEST, T0)
    read: list[int] = []
    longest = 0.0
    is_over = threading.Event()

    def read_on() -> None:
        while True:
            is_last = is_over.is_set()
            while page := store.read_log(read[-1] if read else 0, store.horizon(), 7):
                read.extend(recorded.position for recorded in page)
            if is_last:
                return

    def append(first: int) -> None:
        nonlocal longest
        chance = Random(first)
        for number in range(first, first + 12):
            began = time.monotonic()
            with append_in_flight(database, number) as connection:
                longest = max(longest, time.monotonic() - began)
                time.sleep(chance.random() * 0.02)
                (connection.rollback if chance.random() < 0.2 else connection.commit)()

    reader = threading.Thread(target=read_on)
    reader.start()
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(append, (100, 200)))
        with append_in_flight(database, 2) as orphan:
            held_at = store.horizon()
            list(threads.map(append, (300, 400, 500, 600)))
            assert store.horizon() == held_at
            assert execute(database.writer_dsn, "SELECT max(position) FROM sat.events")[0][0] > held_at
            orphan.commit()
    is_over.set()
    reader.join(60)
    assert read == [position for (position,) in execute(database.writer_dsn, POSITIONS)]
    assert longest < 5
    store.database.close()


def test_two_writers_of_one_order_leave_one_winner(database: ApplicationDatabase) -> None:
    """Many threads append the same version; exactly one is accepted."""
    store = PostgresEventStore(Database(database.writer_dsn))
    conflicts = at_once(8, lambda _: len(store.append([change_of(None, 1, received(1))], BY_TEST, T0)))
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
