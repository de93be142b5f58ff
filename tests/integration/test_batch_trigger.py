"""The wait of a batch in the triggerer's manner: woken by callbacks, backed up by polling, harmless twice."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg2
import pytest
from psycopg2.extensions import cursor as Cursor

from sat_hook.commands.errors import BatchNotFoundError
from sat_hook.domain.order import OrderState
from sat_hook.protocol.signing import generate_key_pair
from sat_hook.store.poll_schedule import AwaitedOrders, PollScope, PostgresPollSchedule, callback_channel
from sat_hook.triggers.batch import GAVE_UP, SATBatchTrigger
from sat_hook.triggers.order import SATOrderTrigger
from sat_hook.triggers.order_wait import SATOrderWaitTrigger
from sat_hook.triggers.order_watch import OrderWatch
from stack.databases import ApplicationDatabase
from tests.airflow_connections import SUCCESS, fired, give_connections
from tests.integration.calling_back import call_back
from tests.integration.pipeline.test_steps import ready
from tests.pipeline import Line, line_of
from tests.sql import execute

QUICK_ENDS: dict[str, object] = {"fulfilment": {"min_seconds": 0.05, "max_seconds": 0.1}}


@pytest.fixture
def line(database: ApplicationDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    """A line of the pipeline whose connections Airflow finds in the environment."""
    with line_of(database.writer_dsn, tmp_path, QUICK_ENDS) as made:
        give_connections(monkeypatch, made, database, tmp_path)
        yield made


def trigger(batch_id: str, *, seconds: float = 120.0) -> SATBatchTrigger:
    """The trigger of a batch, as the sensor makes it."""
    return SATBatchTrigger(
        batch_id=batch_id,
        sat_conn_id="sat_test",
        db_conn_id="sat_test_db",
        deadline=(datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(),
    )


@asynccontextmanager
async def waiting(trigger: SATOrderWaitTrigger) -> AsyncIterator[asyncio.Task[dict[str, object]]]:
    """The trigger running beside the test."""
    task = asyncio.create_task(fired(trigger))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def states(line: Line, batch_id: str) -> set[OrderState]:
    """The states of the batch's orders."""
    return {order.state for order in line.orders(batch_id).values()}


@contextmanager
def superuser(database: ApplicationDatabase) -> Iterator[Cursor]:
    """The server's own administrator, outside any transaction."""
    connection = psycopg2.connect(database.superuser_dsn)
    connection.autocommit = True
    with closing(connection), connection.cursor() as cursor:
        yield cursor


async def connected(database: ApplicationDatabase) -> None:
    """Return once the trigger has read its connections, and listens."""
    with superuser(database) as cursor:
        async with asyncio.timeout(60):
            while True:
                cursor.execute(
                    "SELECT FROM pg_stat_activity WHERE datname = %s AND application_name = 'sat trigger'"
                    " AND query LIKE 'LISTEN%%'",
                    (database.name,),
                )
                if cursor.rowcount:
                    return
                await asyncio.sleep(0.05)


@contextmanager
def slow_polls(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Polling so slow that only a callback can explain a quick end."""
    monkeypatch.setenv("SAT_POLLING_FIRST_DELAY_SECONDS", "60")
    monkeypatch.setenv("SAT_POLLING_LONGEST_DELAY_SECONDS", "600")
    yield


def test_it_survives_its_own_serialisation() -> None:
    """The triggerer makes it again from what it wrote down."""
    path, arguments = trigger("B" + "A" * 25).serialize()
    assert path == "sat_hook.triggers.batch.SATBatchTrigger"
    assert SATBatchTrigger(**arguments).serialize() == (path, arguments)


async def test_a_batch_without_orders_in_flight_ends_at_once(line: Line) -> None:
    """Nothing to wait for is an end."""
    batch_id = await asyncio.to_thread(ready, line, 1)
    assert await fired(trigger(batch_id)) == {"end": SUCCESS, "return_value": 0}


async def test_polling_alone_ends_a_batch(line: Line) -> None:
    """No callback ever comes; the schedule finds every end."""
    batch_id = await asyncio.to_thread(ready, line, 5)
    await asyncio.to_thread(line.execute, batch_id)
    assert (await fired(trigger(batch_id)))["end"] == SUCCESS
    assert states(line, batch_id) == {OrderState.SUCCEEDED}


async def test_a_callback_wakes_it_within_a_second(
    line: Line, database: ApplicationDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With polls a minute apart, the notification alone leads to the status check and the end."""
    batch_id = await asyncio.to_thread(ready, line, 5)
    await asyncio.to_thread(line.execute, batch_id)
    with slow_polls(monkeypatch):
        async with waiting(trigger(batch_id)) as task:
            await asyncio.sleep(1)  # the sandbox has ended every order by now, and SAT was not asked
            assert not task.done()
            await asyncio.to_thread(call_back, line, database, batch_id)
            began = time.monotonic()
            assert (await asyncio.wait_for(task, 100))["end"] == SUCCESS
            assert time.monotonic() - began < 30
    assert states(line, batch_id) == {OrderState.SUCCEEDED}


async def test_a_callback_that_came_before_it_listened_is_not_lost(
    line: Line, database: ApplicationDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The notification is gone, the queue is not: what waits there is asked about first."""
    batch_id = await asyncio.to_thread(ready, line, 3)
    await asyncio.to_thread(line.execute, batch_id)
    await asyncio.sleep(0.5)
    await asyncio.to_thread(call_back, line, database, batch_id)
    with slow_polls(monkeypatch):
        assert (await asyncio.wait_for(fired(trigger(batch_id)), 100))["end"] == SUCCESS


async def test_it_outlives_a_cut_connection(line: Line, database: ApplicationDatabase) -> None:
    """Every connection of the application is cut; it connects again and goes on by polling."""
    batch_id = await asyncio.to_thread(ready, line, 3)
    line.server.set_faults({"faults": [{"fault": "stuck_pending", "rate": 1.0}]})
    await asyncio.to_thread(line.execute, batch_id)
    async with waiting(trigger(batch_id)) as task:
        await connected(database)
        with superuser(database) as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity"
                " WHERE application_name = 'sat trigger'"
            )
            assert cursor.rowcount >= 1
        await asyncio.sleep(1)
        assert not task.done()


async def test_two_instances_at_once_share_the_work(line: Line) -> None:
    """A trigger may run twice: both end, every order once."""
    batch_id = await asyncio.to_thread(ready, line, 40)
    await asyncio.to_thread(line.execute, batch_id)
    ends = await asyncio.gather(fired(trigger(batch_id)), fired(trigger(batch_id)))
    assert [end["end"] for end in ends] == [SUCCESS, SUCCESS]
    assert states(line, batch_id) == {OrderState.SUCCEEDED}
    for order in line.orders(batch_id).values():
        assert order.version <= 7, "no order was ended twice"


async def test_a_key_that_is_added_while_it_waits_ends_the_batch(
    line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SAT signs with a key that the connection does not have yet; a wait of a day must not outlast that."""
    monkeypatch.setattr("sat_hook.triggers.order_watch.REREAD_SECONDS", 0.5)
    batch_id = await asyncio.to_thread(ready, line, 2)
    await asyncio.to_thread(line.execute, batch_id)
    key_of_sat = (tmp_path / "demo_sat.pem").read_bytes()
    (tmp_path / "demo_sat.pem").write_bytes(generate_key_pair()[1])
    async with waiting(trigger(batch_id, seconds=120.0)) as task:
        await asyncio.sleep(3)  # every order was asked about in vain
        assert states(line, batch_id) == {OrderState.PENDING}
        (tmp_path / "demo_sat.pem").write_text("half of a key")
        await asyncio.sleep(1)  # what cannot be read changes nothing
        assert not task.done()
        (tmp_path / "demo_sat.pem").write_bytes(key_of_sat)
        assert (await asyncio.wait_for(task, 60))["end"] == SUCCESS
    assert states(line, batch_id) == {OrderState.SUCCEEDED}


async def test_another_password_of_the_database_is_found_while_it_waits(
    line: Line, database: ApplicationDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old login ends, the connection has a new one: not only a restart of the triggerer may help."""
    monkeypatch.setattr("sat_hook.triggers.order_watch.TROUBLE_PAUSE_SECONDS", 0.2)
    silent = {"fault": "error", "operations": ["status"], "when": "before", "status": 503, "body": "html"}
    line.server.set_faults({"faults": [silent]})
    batch_id = await asyncio.to_thread(ready, line, 2)
    await asyncio.to_thread(line.execute, batch_id)
    new = os.environ["AIRFLOW_CONN_SAT_TEST_DB"]
    login = f"old_writer_{os.getpid()}"
    with superuser(database) as cursor:
        cursor.execute(f"CREATE ROLE {login} LOGIN PASSWORD 'old' IN ROLE sat_writer")
    try:
        old = json.dumps({**json.loads(new), "login": login, "password": "old"})
        monkeypatch.setenv("AIRFLOW_CONN_SAT_TEST_DB", old)
        async with waiting(trigger(batch_id, seconds=120.0)) as task:
            await connected(database)
            with superuser(database) as cursor:
                cursor.execute(f"ALTER ROLE {login} NOLOGIN")
                cursor.execute(
                    "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE usename = %s",
                    (login,),
                )
                assert cursor.rowcount >= 1
            await asyncio.sleep(1)
            assert not task.done()
            line.server.set_faults({"faults": []})
            monkeypatch.setenv("AIRFLOW_CONN_SAT_TEST_DB", new)
            assert (await asyncio.wait_for(task, 60))["end"] == SUCCESS
    finally:
        with superuser(database) as cursor:
            cursor.execute(f"DROP ROLE {login}")
    assert states(line, batch_id) == {OrderState.SUCCEEDED}


@pytest.mark.parametrize("account", ["demo", "north"])
async def test_another_account_or_sat_in_the_connection_is_not_asked(
    line: Line, database: ApplicationDatabase, monkeypatch: pytest.MonkeyPatch, account: str
) -> None:
    """The orders are unknown there, which would look like permission to send; the wait keeps what it had."""
    monkeypatch.setattr("sat_hook.triggers.order_watch.REREAD_SECONDS", 0.2)
    batch_id = await asyncio.to_thread(ready, line, 2)
    line.server.set_faults({"fulfilment": {"min_seconds": 2, "max_seconds": 2.1}})
    await asyncio.to_thread(line.execute, batch_id)
    async with waiting(trigger(batch_id, seconds=120.0)) as task:
        await connected(database)
        changed = os.environ["AIRFLOW_CONN_SAT_TEST"].replace('"account": "demo"', f'"account": "{account}"')
        monkeypatch.setenv(
            "AIRFLOW_CONN_SAT_TEST", changed.replace(line.server.api_url, "http://127.0.0.1:9/api")
        )
        assert (await asyncio.wait_for(task, 60))["end"] == SUCCESS
    assert states(line, batch_id) == {OrderState.SUCCEEDED}


async def test_a_wait_that_joins_during_a_look_is_checked_first(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No order of an unknown batch, or of another account's, is found in flight: that is not its end."""
    batch_id = await asyncio.to_thread(ready, line, 1)
    line.server.set_faults({"faults": [{"fault": "stuck_pending", "rate": 1.0}]})
    await asyncio.to_thread(line.execute, batch_id)
    in_flight, looking, joined = AwaitedOrders.in_flight, threading.Event(), threading.Event()

    def slow(awaited: AwaitedOrders, batch_ids: Sequence[str]) -> dict[str, int]:
        looking.set()
        assert joined.wait(30)
        return in_flight(awaited, batch_ids)

    monkeypatch.setattr(AwaitedOrders, "in_flight", slow)
    async with waiting(trigger(batch_id)) as task:
        assert await asyncio.to_thread(looking.wait, 30)
        unknown = {**trigger("B" + "A" * 25).serialize()[1], "request_id": "S" + "A" * 25}
        async with waiting(SATOrderTrigger(**unknown)) as stranger:
            await asyncio.sleep(0)
            joined.set()
            with pytest.raises(BatchNotFoundError):
                await asyncio.wait_for(stranger, 30)
        assert not task.done()


async def test_a_watch_that_does_not_close_costs_the_next_wait_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another wait joins while the connections of the last one close: an error there is not its own."""
    closing_now = asyncio.Event()

    async def connected(_: OrderWatch) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            closing_now.set()
            await asyncio.sleep(0.01)
            raise RuntimeError("the session does not close") from None

    monkeypatch.setattr(OrderWatch, "_connected", connected)
    watch = OrderWatch("sat_test", "sat_test_db")
    last = watch.join("B" + "A" * 25, None)
    await asyncio.sleep(0)
    leaving = asyncio.create_task(watch.leave(last))
    await closing_now.wait()
    following = watch.join("B" + "A" * 25, None)
    await leaving
    assert await following.look(0) is None
    await watch.leave(following)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_it_gives_up_at_the_deadline(line: Line) -> None:
    """The deadline is absolute; what is left is counted, and nothing is concluded about it."""
    batch_id = await asyncio.to_thread(ready, line, 2)
    line.server.set_faults({"faults": [{"fault": "stuck_pending", "rate": 1.0}]})
    await asyncio.to_thread(line.execute, batch_id)
    assert await fired(trigger(batch_id, seconds=1.0)) == {"end": GAVE_UP, "in_flight": 2}
    assert states(line, batch_id) == {OrderState.PENDING}


async def test_a_callback_that_comes_while_its_order_is_asked_about_is_not_lost(
    line: Line, database: ApplicationDatabase
) -> None:
    """The answer under way may be older than the callback: the order is asked about again at once."""
    batch_id = await asyncio.to_thread(ready, line, 1)
    await asyncio.to_thread(line.execute, batch_id)
    schedule = PostgresPollSchedule(line.store.database)
    scope = PollScope(batch_id=batch_id)
    now = datetime.now(UTC)
    lease = now + timedelta(seconds=60)
    schedule.enroll(scope, now)
    (claimed,) = schedule.claim_due(scope, now, lease, 10)
    call_back(line, database, batch_id)
    assert schedule.hasten(scope, now) == 1
    schedule.reschedule({claimed.request_id: now + timedelta(seconds=300)}, lease)
    assert schedule.next_due(scope) == now
    schedule.forget([claimed.request_id], lease)
    assert schedule.next_due(scope) == now


def test_the_channel_is_the_one_the_database_announces_on(database: ApplicationDatabase) -> None:
    """Both sides derive the name of the channel; they must agree, whatever the account is called."""
    for account in ("demo", "Ünï code", "a'b"):
        found = execute(database.reader_dsn, "SELECT sat.callback_channel(%s)", (account,))
        assert found == [(callback_channel(account),)]


async def test_a_failover_is_waited_out(line: Line, database: ApplicationDatabase) -> None:
    """While the server is read-only the trigger waits; when it can be written again the batch ends."""
    batch_id = await asyncio.to_thread(ready, line, 2)
    await asyncio.to_thread(line.execute, batch_id)
    role = f'ALTER ROLE sat_writer IN DATABASE "{database.name}"'
    with superuser(database) as cursor:
        cursor.execute(f"{role} SET default_transaction_read_only = on")
        async with waiting(trigger(batch_id)) as task:
            await asyncio.sleep(1.5)
            assert not task.done()
            cursor.execute(f"{role} RESET default_transaction_read_only")
            assert (await asyncio.wait_for(task, 100))["end"] == SUCCESS
    assert states(line, batch_id) == {OrderState.SUCCEEDED}


async def test_many_waits_share_their_connections(
    database: ApplicationDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forty waits at once listen in one session, and their pool is no larger than the threads that use it."""
    async with AsyncExitStack() as stack:
        line = stack.enter_context(
            line_of(database.writer_dsn, tmp_path, {"faults": [{"fault": "stuck_pending"}]})
        )
        give_connections(monkeypatch, line, database, tmp_path)
        batch_id = await asyncio.to_thread(ready, line, 1)
        await asyncio.to_thread(line.execute, batch_id)
        for _ in range(40):
            await stack.enter_async_context(waiting(trigger(batch_id)))
        await connected(database)
        await asyncio.sleep(3)
        with superuser(database) as cursor:
            cursor.execute(
                "SELECT count(*), count(*) FILTER (WHERE query LIKE 'LISTEN%%') FROM pg_stat_activity"
                " WHERE datname = %s AND application_name = 'sat trigger'",
                (database.name,),
            )
            (sessions, listening) = cursor.fetchone() or (0, 0)
    assert listening == 1
    assert sessions <= min(32, (os.cpu_count() or 1) + 4) + 1
    assert await asyncio.to_thread(sessions_left, database) == 0


def sessions_left(database: ApplicationDatabase) -> int:
    """How many sessions of triggers there are when the last of them has gone."""
    with superuser(database) as cursor:
        for _ in range(100):
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = %s AND application_name = 'sat trigger'",
                (database.name,),
            )
            (sessions,) = cursor.fetchone() or (0,)
            if not sessions:
                return 0
            time.sleep(0.1)
    return int(sessions)
