"""What a waiting trigger costs the triggerer: no database call on its loop, few for thousands of orders."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from sat_hook.clients.asynchronous import AsyncSATClient
from sat_hook.domain.order import OrderState
from sat_hook.protocol.outcomes import StatusOutcome
from sat_hook.store.poll_schedule import AwaitedOrders
from sat_hook.triggers.batch import ENDED, GAVE_UP, SATBatchTrigger
from sat_hook.triggers.order import SATOrderTrigger
from sat_hook.triggers.order_watch import LONGEST_SLEEP_SECONDS
from stack.databases import ApplicationDatabase
from tests.airflow_connections import CONNECTIONS, SUCCESS, fired, give_connections
from tests.integration.pipeline.test_steps import ready
from tests.integration.test_batch_trigger import QUICK_ENDS, slow_polls
from tests.pipeline import Line, line_of

WAITING = 5000


@pytest.fixture
def line(database: ApplicationDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    """A line of the pipeline whose connections Airflow finds in the environment."""
    with line_of(database.writer_dsn, tmp_path, QUICK_ENDS) as made:
        give_connections(monkeypatch, made, database, tmp_path)
        yield made


class Calls:
    """Every call of a thread into PostgreSQL that waits for an answer."""

    def __init__(self) -> None:
        self.by_thread: Counter[int] = Counter()

    @contextmanager
    def watched(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """Connections made meanwhile are watched, for as long as they live."""
        calls = self.by_thread
        connect = psycopg2.connect

        class WatchedCursor(Cursor):
            def execute(self, *arguments: Any, **options: Any) -> None:
                calls[threading.get_ident()] += 1
                super().execute(*arguments, **options)

        class WatchedConnection(Connection):
            def cursor(self, *arguments: Any, **options: Any) -> Any:
                return super().cursor(*arguments, **{"cursor_factory": WatchedCursor, **options})

            def commit(self) -> None:
                calls[threading.get_ident()] += 1
                super().commit()

            def rollback(self) -> None:
                calls[threading.get_ident()] += 1
                super().rollback()

        def watched_connect(dsn: str, **options: Any) -> Connection:
            calls[threading.get_ident()] += 1
            return connect(dsn, **{"connection_factory": WatchedConnection, **options})

        with monkeypatch.context() as patched:
            patched.setattr("sat_hook.store.database.psycopg2.connect", watched_connect)
            yield


def deadline(seconds: float) -> str:
    """So many seconds from now."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


async def test_the_database_is_never_asked_on_the_loop(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """From connecting to closing, for a batch and for an order: everything in threads."""
    batch_id = await asyncio.to_thread(ready, line, 3)
    other_batch_id = await asyncio.to_thread(ready, line, 1, "Q")
    for each in (batch_id, other_batch_id):
        await asyncio.to_thread(line.execute, each)
    [single] = line.orders(other_batch_id).values()
    calls = Calls()
    with calls.watched(monkeypatch):
        batch = SATBatchTrigger(batch_id=batch_id, deadline=deadline(30), **CONNECTIONS)
        order = SATOrderTrigger(
            request_id=single.request_id, batch_id=other_batch_id, deadline=deadline(30), **CONNECTIONS
        )
        ends = await asyncio.gather(fired(batch), fired(order))
        assert [end["end"] for end in ends] == [SUCCESS, ENDED]
    assert calls.by_thread.total() > 20
    assert calls.by_thread[threading.get_ident()] == 0


async def test_two_instances_share_the_due_list(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both at once ask about each order once, not once each; the next question is due minutes later."""
    batch_id = await asyncio.to_thread(ready, line, 30)
    line.server.set_faults({"faults": [{"fault": "stuck_pending"}]})
    await asyncio.to_thread(line.execute, batch_id)
    orders = line.orders(batch_id)
    asked: Counter[str] = Counter()
    all_asked = asyncio.Event()
    ask = AsyncSATClient.ask_status

    async def counted(self: AsyncSATClient, request_id: str) -> StatusOutcome:
        asked[request_id] += 1
        if len(asked) == len(orders):
            all_asked.set()
        return await ask(self, request_id)

    monkeypatch.setenv("SAT_POLLING_GROWTH", "60")
    monkeypatch.setenv("SAT_POLLING_LONGEST_DELAY_SECONDS", "600")
    monkeypatch.setattr(AsyncSATClient, "ask_status", counted)
    triggers = [SATBatchTrigger(batch_id=batch_id, deadline=deadline(120), **CONNECTIONS) for _ in range(2)]
    both = [asyncio.create_task(fired(trigger)) for trigger in triggers]
    async with asyncio.timeout(60):
        await all_asked.wait()
    # The other instance has had its chance, and the next question about any of them is a minute away.
    await asyncio.sleep(1)
    for task in both:
        task.cancel()
    await asyncio.gather(*both, return_exceptions=True)
    assert asked == {order.request_id: 1 for order in orders.values()}
    assert {order.state for order in line.orders(batch_id).values()} == {OrderState.PENDING}


async def test_thousands_that_wait_cost_a_few_statements_a_look(
    line: Line, database: ApplicationDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five thousand in flight, rung for all the time: the database is not asked more for it."""
    batch_id = await asyncio.to_thread(ready, line, 1)
    await asyncio.to_thread(line.execute, batch_id)
    await asyncio.to_thread(multiply, database, batch_id)
    calls = Calls()
    seconds = 4.0
    with slow_polls(monkeypatch), calls.watched(monkeypatch):
        # The first look enrolls them all; it is over before the clock runs.
        await fired(SATBatchTrigger(batch_id=batch_id, deadline=deadline(0), **CONNECTIONS))
        calls.by_thread.clear()
        waiting = SATBatchTrigger(batch_id=batch_id, deadline=deadline(seconds), **CONNECTIONS)
        began = time.thread_time()
        end, rings = await asyncio.gather(fired(waiting), asyncio.to_thread(ring_for, database, seconds - 1))
        loop_seconds = time.thread_time() - began
    assert end["end"] == GAVE_UP
    # Debounced: a look each fifth of a second at most, and a handful of short transactions a look.
    looks = seconds / 0.2 + seconds / LONGEST_SLEEP_SECONDS + 2
    # How many notifications were sent depends on the machine, and the trigger does not send them.
    assert calls.by_thread.total() - rings < looks * 14
    assert loop_seconds < seconds / 4, "the loop is free for other triggers"


async def test_an_order_that_was_not_sent_yet_costs_hardly_anything(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Held for a person, perhaps for a day: nothing is scheduled, so there is no reason to look often."""
    batch_id = await asyncio.to_thread(ready, line, 1)
    [quoted] = line.orders(batch_id).values()
    looks = 0
    states = AwaitedOrders.states

    def counted(self: AwaitedOrders, request_ids: Sequence[str]) -> dict[str, OrderState]:
        nonlocal looks
        looks += 1
        return states(self, request_ids)

    monkeypatch.setattr(AwaitedOrders, "states", counted)
    seconds = 4.0
    end = await fired(
        SATOrderTrigger(
            request_id=quoted.request_id, batch_id=batch_id, deadline=deadline(seconds), **CONNECTIONS
        )
    )
    assert end["end"] == GAVE_UP
    # When it joins, after its first pass, and once in each of the longest pauses.
    assert looks <= 4 + 2 * seconds / LONGEST_SLEEP_SECONDS


def multiply(database: ApplicationDatabase, batch_id: str) -> None:
    """The batch's one order, five thousand times, as the projection has it."""
    connection = psycopg2.connect(database.superuser_dsn)
    with connection, connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO sat.orders
            SELECT copy.*
            FROM sat.orders AS o
            CROSS JOIN generate_series(1, %s) AS n
            CROSS JOIN LATERAL jsonb_populate_record(o, jsonb_build_object(
                'request_id', request_id || n, 'order_id', 'copy-' || n, 'row_number', 1000 + n)) AS copy
            WHERE o.batch_id = %s
            """,
            (WAITING, batch_id),
        )
    connection.close()


def ring_for(database: ApplicationDatabase, seconds: float) -> int:
    """Notifications all the time, as from a busy receiver; returns how many."""
    connection = psycopg2.connect(database.receiver_dsn)
    connection.autocommit = True
    until, rings = time.monotonic() + seconds, 0
    with connection.cursor() as cursor:
        while time.monotonic() < until:
            cursor.execute("SELECT pg_notify(sat.callback_channel('demo'), '')")
            rings += 1
            time.sleep(0.01)
    connection.close()
    return rings
