"""Notifications: one for a group commit, a burst of them wakes once, and losing them is harmless."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg2
import pytest

from sat_hook.domain.identity import digest_of
from sat_hook.receiver.inbox import Inbox
from sat_hook.store.callbacks import Callback
from sat_hook.store.database import Database
from sat_hook.store.poll_schedule import callback_channel
from sat_hook.triggers.notifications import DEBOUNCE_SECONDS, NotificationListener
from stack.databases import ApplicationDatabase

CHANNEL = callback_channel("demo")
LONG_SECONDS = 60.0


@pytest.fixture
def rung(database: ApplicationDatabase) -> Iterator[Database]:
    """The database, as the pipeline's role."""
    with closing(Database(database.writer_dsn, "sat trigger")) as opened:
        yield opened


def ring(database: ApplicationDatabase, times: int = 1, pause_seconds: float = 0.0) -> None:
    """What the receiver does after a commit."""
    connection = psycopg2.connect(database.receiver_dsn)
    connection.autocommit = True
    with closing(connection), connection.cursor() as cursor:
        for _ in range(times):
            cursor.execute("SELECT pg_notify(%s, '')", (CHANNEL,))
            time.sleep(pause_seconds)


def cut(database: ApplicationDatabase) -> None:
    """Every connection of the trigger is ended by the server."""
    as_superuser(
        database,
        "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity"
        " WHERE application_name = 'sat trigger'",
    )


def as_superuser(database: ApplicationDatabase, statement: str) -> None:
    """Run one statement, outside of a transaction."""
    connection = psycopg2.connect(database.superuser_dsn)
    connection.autocommit = True
    with closing(connection), connection.cursor() as cursor:
        cursor.execute(statement)


@contextmanager
def away(database: ApplicationDatabase) -> Iterator[None]:
    """No connection is possible meanwhile, as while PostgreSQL restarts; open ones are ended."""
    as_superuser(database, f'ALTER DATABASE "{database.name}" CONNECTION LIMIT 0')
    try:
        cut(database)
        yield
    finally:
        as_superuser(database, f'ALTER DATABASE "{database.name}" CONNECTION LIMIT -1')


async def seconds_until_rung(listener: NotificationListener, seconds: float = LONG_SECONDS) -> float:
    """How long a wait took."""
    began = time.monotonic()
    await listener.wait(seconds)
    return time.monotonic() - began


async def ring_until(woken: asyncio.Task[float], database: ApplicationDatabase) -> None:
    """Ring until it is heard: a listener that is still connecting hears nothing."""
    while not woken.done():
        await asyncio.to_thread(ring, database)
        await asyncio.sleep(0.3)


async def test_it_wakes_within_a_moment(rung: Database, database: ApplicationDatabase) -> None:
    """The notification ends the wait; without one the time does."""
    async with NotificationListener(rung, CHANNEL) as listener:
        waiting = asyncio.create_task(seconds_until_rung(listener))
        await asyncio.sleep(0.2)
        await asyncio.to_thread(ring, database)
        assert await waiting < LONG_SECONDS / 2
        assert 0.3 <= await seconds_until_rung(listener, 0.3) < LONG_SECONDS


async def test_a_burst_wakes_once(rung: Database, database: ApplicationDatabase) -> None:
    """Fifty group commits in a tenth of a second are a look or two at the tables, not fifty."""
    async with NotificationListener(rung, CHANNEL) as listener:
        began = time.monotonic()
        ringing = asyncio.create_task(asyncio.to_thread(ring, database, 50, 0.002))
        assert await seconds_until_rung(listener) < LONG_SECONDS / 2
        wakes = 1
        while await seconds_until_rung(listener, 1.0) < 1.0 or not ringing.done():
            wakes += 1
        # On a busy machine the burst takes longer than a tenth of a second.
        assert wakes <= 2 + (time.monotonic() - began - 1.0) / DEBOUNCE_SECONDS < 50


async def test_what_rang_before_the_wait_is_not_lost(rung: Database, database: ApplicationDatabase) -> None:
    """A waiter that was busy when it rang looks at once."""
    async with NotificationListener(rung, CHANNEL) as listener:
        await asyncio.to_thread(ring, database)
        await asyncio.sleep(0.3)
        assert await seconds_until_rung(listener) < LONG_SECONDS / 2


async def test_it_listens_again_after_its_connection_was_cut(
    rung: Database, database: ApplicationDatabase
) -> None:
    """The cut wakes, because something may have been missed; the next notification is heard again."""
    async with NotificationListener(rung, CHANNEL) as listener:
        waiting = asyncio.create_task(seconds_until_rung(listener))
        await asyncio.sleep(0.1)
        await asyncio.to_thread(cut, database)
        assert await waiting < LONG_SECONDS / 2
        waiting = asyncio.create_task(seconds_until_rung(listener))
        await ring_until(waiting, database)
        assert await waiting < LONG_SECONDS / 2


async def test_without_a_database_it_is_a_clock(rung: Database, database: ApplicationDatabase) -> None:
    """Waits go on taking their time, nothing is raised, and it listens again once it can."""
    async with NotificationListener(rung, CHANNEL) as listener:
        with away(database):
            await seconds_until_rung(listener, 0.2)
            for _ in range(2):
                assert 0.2 <= await seconds_until_rung(listener, 0.2) < LONG_SECONDS / 2
        waiting = asyncio.create_task(seconds_until_rung(listener))
        await ring_until(waiting, database)
        assert await waiting < LONG_SECONDS / 2


async def test_a_group_commit_rings_once(
    database: ApplicationDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forty callbacks that come together are a few transactions, and as many notifications that name them."""
    commits = 0
    begin = Database.transaction

    def counted(self: Database, **options: bool) -> object:
        nonlocal commits
        commits += 1
        return begin(self, **options)

    listener = Database(database.writer_dsn).listen(CHANNEL)
    inbox = Inbox(Database(database.receiver_dsn), waiting_limit=100, group_limit=100)
    monkeypatch.setattr(Database, "transaction", counted)
    try:
        await asyncio.gather(*(inbox.store(callback(number), 10) for number in range(40)))
    finally:
        await asyncio.to_thread(inbox.close)
    with closing(listener):
        with listener.cursor() as cursor:
            cursor.execute("SELECT 1")  # a round trip: whatever was sent before has come
        heard = [notice.payload for notice in listener.notifies]
    assert len(heard) == commits
    assert sorted(" ".join(payload[2:] for payload in heard).split()) == sorted(f"S{n}" for n in range(40))
    assert commits < 40 / 2


def callback(number: int) -> Callback:
    """A verified callback of an order of its own."""
    body = f'{{"data": {{"id": "S{number}"}}}}'.encode()
    return Callback(
        account="demo",
        request_id=f"S{number}",
        digest=digest_of(body),
        body=body,
        signature="s",
        key_fingerprint="k",
        content_type="application/json",
        remote_address="::1",
    )
