"""A server that becomes read-only and writable again: no connection of the time between is kept."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from sat_hook.receiver.errors import InboxUnavailableError
from sat_hook.receiver.inbox import Inbox
from sat_hook.store.database import Database
from sat_hook.store.errors import StoreUnavailableError
from sat_hook.store.postgres import PostgresEventStore
from stack.databases import ApplicationDatabase
from stack.postgres import EmbeddedPostgres
from tests.integration.test_notifications import as_superuser, callback
from tests.orders import BY_TEST, T0, change_of, received


def flip(database: ApplicationDatabase, role: str, *, is_read_only: bool) -> None:
    """What a failover looks like to sessions that are opened from now on."""
    value = "on" if is_read_only else "off"
    as_superuser(
        database,
        f'ALTER ROLE {role} IN DATABASE "{database.name}" SET default_transaction_read_only = {value}',
    )


def append(store: PostgresEventStore, number: int) -> None:
    """Order ``number`` begins."""
    store.append([change_of(None, number, received(number))], BY_TEST, T0)


@pytest.fixture
def store(database: ApplicationDatabase) -> Iterator[PostgresEventStore]:
    """The store of the pipeline's role."""
    with closing(Database(database.writer_dsn)) as opened:
        yield PostgresEventStore(opened)


def test_the_first_append_after_a_failover_works(
    store: PostgresEventStore, database: ApplicationDatabase
) -> None:
    """Meanwhile it is our own error, which callers wait out; reading goes on."""
    flip(database, "sat_writer", is_read_only=True)
    for number in range(1, 4):
        with pytest.raises(StoreUnavailableError, match="read-only"):
            append(store, number)
        assert store.load_orders(["none"]) == {}
    flip(database, "sat_writer", is_read_only=False)
    append(store, 1)
    assert store.close_position() > 0


def test_connections_of_the_time_between_are_not_kept(
    store: PostgresEventStore, database: ApplicationDatabase
) -> None:
    """Several transactions that only read at once would fill the pool with connections that cannot write."""
    flip(database, "sat_writer", is_read_only=True)
    opened = store.database
    with opened.transaction(), opened.transaction(), opened.transaction():
        pass
    flip(database, "sat_writer", is_read_only=False)
    for number in range(1, 4):
        append(store, number)


def test_a_pooled_connection_that_became_read_only_is_replaced(
    store: PostgresEventStore, database: ApplicationDatabase
) -> None:
    """As behind an address that leads to the new primary: the caller notices nothing."""
    append(store, 1)
    with store.database.transaction() as connection:
        connection.cursor().execute("SET default_transaction_read_only = on")
    append(store, 2)


async def test_the_receiver_keeps_callbacks_again(database: ApplicationDatabase) -> None:
    """503 while nothing can be kept, and not a moment longer; its health says the same."""
    flip(database, "sat_receiver", is_read_only=True)
    inbox = Inbox(Database(database.receiver_dsn), waiting_limit=9, group_limit=9)
    for _ in range(2):
        with pytest.raises(InboxUnavailableError):
            await inbox.store(callback(1), 30)
        assert not await asyncio.to_thread(inbox.is_reachable)
    flip(database, "sat_receiver", is_read_only=False)
    assert await inbox.store(callback(1), 30) is True
    assert await asyncio.to_thread(inbox.is_reachable)
    await asyncio.to_thread(inbox.close)


def test_a_standby_is_waited_for_until_it_is_promoted(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A server in recovery refuses writes; after its promotion the same pool writes."""
    root = tmp_path_factory.mktemp("standby")
    server = EmbeddedPostgres(root / "server", secrets.token_urlsafe(12), durable=False)
    try:
        server.start()
        with closing(psycopg2.connect(server.dsn())) as connection, connection:
            connection.cursor().execute("CREATE TABLE written (number int)")
        server.stop()
        signal = server.data / "standby.signal"
        signal.touch()
        owner = server.data.stat()
        shutil.chown(signal, owner.st_uid, owner.st_gid)
        server.start()
        with closing(Database(server.dsn())) as database:
            for _ in range(2):
                with pytest.raises(StoreUnavailableError), database.transaction() as connection:
                    connection.cursor().execute("INSERT INTO written VALUES (1)")
            with database.transaction() as connection:
                connection.cursor().execute("SELECT * FROM written")
            as_promoter(server)
            with database.transaction() as connection:
                connection.cursor().execute("INSERT INTO written VALUES (2)")
    finally:
        server.stop("immediate")
        shutil.rmtree(Path(root), ignore_errors=True)


def as_promoter(server: EmbeddedPostgres) -> None:
    """What a failover manager does."""
    with closing(psycopg2.connect(server.dsn())) as connection:
        connection.cursor().execute("SELECT pg_promote(true, 60)")
