"""Behind a real PgBouncer that shares few server sessions: the same settings, locks and notifications."""

from __future__ import annotations

import asyncio
import os
import select
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg2
import pytest
import requests

from sat_hook.domain.order import OrderState
from sat_hook.protocol.signing import Verifier
from sat_hook.receiver.inbox import Inbox
from sat_hook.receiver.settings import ReceiverSettings
from sat_hook.store import database as database_module
from sat_hook.store.database import Database
from sat_hook.store.errors import StoreUnavailableError
from sat_hook.store.funds import PostgresFunds
from sat_hook.store.poll_schedule import callback_channel
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.triggers.notifications import NotificationListener
from sat_hook.web.app import create_app
from stack.databases import ApplicationDatabase
from tests.integration.pipeline.test_recovery import AT_ONCE, recover_until_ended
from tests.integration.pipeline.test_steps import ready
from tests.integration.receiver.serving import serving, settings_for
from tests.integration.test_notifications import callback
from tests.loopback import served as web_served
from tests.orders import BY_TEST, T0, change_of, received
from tests.pgbouncer import PGBOUNCER, SERVER_SESSIONS, pgbouncer, pooler, through
from tests.pipeline import Line, line_of
from tests.sql import execute
from tests.web_host import FakeHost, FakeUser

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
ORDERS = 24
SLOW_SAT: dict[str, object] = {
    "faults": [{"fault": "delay", "side": "response", "distribution": "fixed", "seconds": 0.05}],
    "fulfilment": {"min_seconds": 0.05, "max_seconds": 0.1},
}
ANA = {"Authorization": "Bearer ana"}
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


def receiver_of(dsn: str, line: Line) -> ReceiverSettings:
    """The receiver of the line's SAT server."""
    return settings_for(dsn, verifiers={"demo": Verifier([line.server.keys.sat_public_pem])})


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


def test_a_whole_batch_is_paid_though_the_pooler_dies_in_the_middle(
    new_database: Callable[[], ApplicationDatabase], tmp_path: Path
) -> None:
    """Tasks, receiver and routes share two server sessions; SAT's ledger has each order once."""
    database = new_database()
    with (
        pooler(database) as dying,
        line_of(through(database.writer_dsn, dying.port), tmp_path, SLOW_SAT) as line,
        serving(receiver_of(through(database.receiver_dsn, dying.port), line)) as receiver,
        web_served(create_app(FakeHost(FakeUser("ana"), store=line.store, folder=tmp_path))) as url,
    ):
        line.server.set_callback_url(receiver.url())
        batch_id = ready(line, ORDERS)
        line.execution = replace(AT_ONCE, in_flight=4, group_size=4)
        with ThreadPoolExecutor(1) as worker:
            sending = worker.submit(line.execute, batch_id)
            line.server.wait_until(lambda ledger: len(ledger["requests"]) >= ORDERS // 3)
            dying.kill()
            with pytest.raises(StoreUnavailableError):
                sending.result(60)
        assert requests.get(f"{url}/v1/batches/{batch_id}", headers=ANA, timeout=30).status_code == 503
        dying.start()
        line.execute(batch_id)
        recover_until_ended(line, batch_id)
        line.finish(batch_id)
        shown = requests.get(f"{url}/v1/batches/{batch_id}", headers=ANA, timeout=30).json()
        assert {order.state for order in line.orders(batch_id).values()} == {OrderState.SUCCEEDED}
        ledger = line.server.ledger()["requests"].values()
        assert [(entry["posted"] >= 1, entry["charged"]) for entry in ledger] == [(True, 1)] * ORDERS
        assert shown["batch"]["state"] == "completed"
        kept = execute(database.superuser_dsn, "SELECT count(*) FROM sat.callback_inbox")
        assert kept[0][0] > 0


def test_a_setting_that_is_lost_stops_with_a_sentence(
    module_database: ApplicationDatabase, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first transaction of each connection checks what is in force."""
    lost = "SELECT false"
    monkeypatch.setattr(database_module, "_settings_query", lambda settings, *, is_local: lost)
    with (
        opened(module_database.writer_dsn, port) as database,
        pytest.raises(
            StoreUnavailableError, match=r"loses settings: statement_timeout is .*, expected '1min'"
        ),
        database.transaction(),
    ):
        raise AssertionError("a transaction began")


def test_statement_pooling_stops_with_a_sentence(module_database: ApplicationDatabase) -> None:
    """A pooler that tears transactions apart is refused in words, before anything is done."""
    with (
        pgbouncer(module_database, pool_mode="statement") as port,
        opened(module_database.writer_dsn, port) as database,
        pytest.raises(StoreUnavailableError, match="statement pooling"),
        database.transaction(),
    ):
        raise AssertionError("a transaction began")
