"""Five thousand orders really wait at once: their status is asked on schedule, and callbacks are noticed."""

from __future__ import annotations

import sys
from pathlib import Path

from sat_hook.pipeline.limits import PollingLimits
from sat_hook.pipeline.status_polling import JITTER
from sat_hook.store.database import SHARED_CONNECTIONS
from stack.databases import ApplicationDatabase
from tests.chaos.many_waiting import many_waiting
from tests.orders import stream_of

ORDERS = 5000
SECONDS = 7.0


def most_questions(seconds: float) -> int:
    """Return the most status queries per order that the schedule allows in this time, with the shortest
    random pauses.
    """
    limits = PollingLimits()
    asked, moment = 0, limits.first_delay_seconds
    while moment <= seconds:
        asked += 1
        moment += limits.delay_seconds(asked) * (1 - JITTER)
    return asked


async def test_five_thousand_waiting_orders_are_asked_about_on_schedule(
    database: ApplicationDatabase, tmp_path: Path
) -> None:
    """No order is asked about more often than its schedule says, all of them at least once, callbacks in
    between.
    """
    with many_waiting(database, tmp_path, ORDERS) as many:
        measured = await many.wait(SECONDS, [2.5, 4.0])
    print(measured, file=sys.stderr)
    # A callback adds one query outside the schedule.
    assert measured.most <= most_questions(measured.seconds) + 1
    assert measured.questions <= ORDERS * most_questions(measured.seconds) + 2
    assert len(measured.heard_seconds) == 2


async def test_a_callback_wakes_one_wait_of_many(database: ApplicationDatabase, tmp_path: Path) -> None:
    """Batches and single orders share nine connections at most; only the called order's wait is woken."""
    with many_waiting(database, tmp_path, 0, batches=60, singles=60) as many:
        measured = await many.wait(2.0, [1.5])
    assert measured.connections <= SHARED_CONNECTIONS + 1
    assert [wait.request_id for wait in measured.woken] == [stream_of(120).key]
