"""Behind a real PgBouncer that shares few server sessions: the same settings, locks and notifications."""

from __future__ import annotations

import asyncio
import os
import select
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import psycopg2
import pytest

from sat_hook.receiver.inbox import Inbox
from sat_hook.store.database import Database
from sat_hook.store.errors import StoreUnavailableError
from sat_hook.store.funds import PostgresFunds
from sat_hook.store.poll_schedule import callback_channel
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.triggers.notifications import NotificationListener
from stack.databases import ApplicationDatabase
from tests.integration.test_notifications import callback
from tests.orders import BY_TEST, T0, change_of, received
from tests.pgbouncer import PGBOUNCER, SERVER_SESSIONS, pgbouncer, through

# A developer's machine may lack it; CI installs it.
pytestmark = pytest.mark.skipif(PGBOUNCER is None and "CI" not in os.environ, reason="no PgBouncer here")

OURS = {
    "statement_timeout": "1min",
    "lock_timeout": "30s",
    "idle_in_transaction_session_timeout": "1min",
    "synchronous_commit": "on",
    "transaction_isolation": "read committed",
    "TimeZone": "UTC",
}
OF_ADMINISTRATORS = {
    "statement_timeout": "5min",
    "lock_timeout": "1h",
    "synchronous_commit": "off",
    "default_transaction_isolation": "serializable",
    "TimeZone": "Asia/Jakarta",
}
POOLERS = {
    "that refuses options": {},
    "that forgets them": {
        "ignore_startup_parameters": "options,statement_timeout,lock_timeout,synchronous_commit"
    },
}


@pytest.fixture(scope="module", params=POOLERS.values(), ids=POOLERS.keys())
def port(request: pytest.FixtureRequest, module_database: ApplicationDatabase) -> Iterator[int]:
    """The port of a PgBouncer in transaction pooling."""
    with closing(psycopg2.connect(module_database.superuser_dsn)) as connection, connection:
        for name, value in OF_ADMINISTRATORS.items():
            connection.cursor().execute(
                f"ALTER ROLE sat_writer IN DATABASE \"{module_database.name}\" SET {name} = '{value}'"
            )
    with pgbouncer(module_database, **request.param) as found:
        yield found


@contextmanager
def opened(dsn: str, port: int, listen_dsn: str | None = None) -> Iterator[Database]:
    """The database by way of the pooler."""
    with closing(Database(through(dsn, port), "pooled", listen_dsn=listen_dsn)) as database:
        yield database


def test_every_transaction_has_our_settings(module_database: ApplicationDatabase, port: int) -> None:
    """Whatever an administrator has set, and whatever other clients left behind in the server's sessions."""
    with closing(psycopg2.connect(through(module_database.writer_dsn, port))) as other:
        other.autocommit = True
        for _ in range(2 * SERVER_SESSIONS):
            other.cursor().execute("SET statement_timeout = 0")
            other.cursor().execute("SET synchronous_commit = off")
    with opened(module_database.writer_dsn, port) as database:
        for _ in range(2 * SERVER_SESSIONS):
            with database.transaction() as connection, connection.cursor() as cursor:
                cursor.execute("SELECT " + ", ".join(f"current_setting('{name}')" for name in OURS))
                assert cursor.fetchone() == tuple(OURS.values())


def test_orders_are_appended_and_positions_closed(module_database: ApplicationDatabase, port: int) -> None:
    """More threads than server sessions: every append is there once, and no lock stays behind."""
    first = 1000 * port
    with opened(module_database.writer_dsn, port) as database:
        store = PostgresEventStore(database)

        def append(number: int) -> int:
            store.append([change_of(None, number, received(number))], BY_TEST, T0)
            return store.close_position()

        with ThreadPoolExecutor(6) as threads:
            closed = list(threads.map(append, range(first, first + 30)))
        assert max(closed) == store.close_position()
        with PostgresFunds(database).locked("demo"):
            pass
        with database.transaction() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
            assert cursor.fetchone() == (0,)


def test_nobody_listens_in_a_shared_session(module_database: ApplicationDatabase, port: int) -> None:
    """LISTEN would be one client's wish in a session of all: without a way of its own there is none."""
    with opened(module_database.writer_dsn, port) as database:
        assert database.listen("sat_any") is None


def test_listening_has_its_own_way(module_database: ApplicationDatabase, port: int) -> None:
    """What is told through the pooler is heard by who listens at PostgreSQL itself."""
    with (
        opened(module_database.writer_dsn, port, module_database.writer_dsn) as database,
        closing(psycopg2.connect(through(module_database.receiver_dsn, port))) as receiver,
    ):
        listener = database.listen("sat_any")
        assert listener is not None
        with closing(listener):
            receiver.autocommit = True
            receiver.cursor().execute("SELECT pg_notify('sat_any', '')")
            assert select.select([listener], [], [], 30)[0]
            listener.poll()
            assert [notice.channel for notice in listener.notifies] == ["sat_any"]


async def test_a_bell_behind_a_pooler_is_a_clock(
    module_database: ApplicationDatabase, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The wait takes its time, and the log says once what would wake it."""
    with opened(module_database.writer_dsn, port) as database:
        async with NotificationListener(database, "sat_any") as listener:
            for _ in range(3):
                await listener.wait(0.1)
    assert [record.message.count("listen_host") for record in caplog.records] == [1]


async def test_callbacks_are_kept_and_wake(module_database: ApplicationDatabase, port: int) -> None:
    """The receiver's whole way leads through the pooler, the notification listener's does not."""
    channel = callback_channel("demo")
    with opened(module_database.writer_dsn, port, module_database.writer_dsn) as database:
        inbox = Inbox(Database(through(module_database.receiver_dsn, port)), waiting_limit=9, group_limit=9)
        async with NotificationListener(database, channel) as listener:
            assert await inbox.store(callback(port), 30) is True
            async with asyncio.timeout(30):
                await listener.wait(60)
        await asyncio.to_thread(inbox.close)


def test_statement_pooling_stops_with_a_sentence(module_database: ApplicationDatabase) -> None:
    """A pooler that tears transactions apart is refused in words, before anything is done."""
    with (
        pgbouncer(module_database, pool_mode="statement") as port,
        opened(module_database.writer_dsn, port) as database,
        pytest.raises(StoreUnavailableError, match="statement pooling"),
        database.transaction(),
    ):
        raise AssertionError("a transaction began")
