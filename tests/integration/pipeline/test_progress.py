"""How far a batch has come, looked up in a real database while it goes its way, and watched by command."""

from __future__ import annotations

import asyncio
import random
import time
from datetime import timedelta

from sat_hook.clients.asynchronous import AsyncSATClient
from sat_hook.clients.clock import SystemClock
from sat_hook.commands.handler import OrderCommandRequest
from sat_hook.domain.batch import BatchState
from sat_hook.domain.order import OrderState
from sat_hook.domain.order_commands import Escalate
from sat_hook.pipeline.escalations import LISTED_ORDERS, escalated_orders
from sat_hook.pipeline.limits import PollingLimits
from sat_hook.pipeline.progress import BatchProgress, progress_of
from sat_hook.pipeline.status_polling import StatusPoller, escalate_in_flight
from sat_hook.store.batch_lists import BatchLists
from sat_hook.store.poll_schedule import PollScope, PostgresPollSchedule
from stack.databases import ApplicationDatabase
from tests.integration.calling_back import call_back
from tests.integration.pipeline.test_steps import ready
from tests.orders import ACCOUNT, BY_TEST
from tests.pipeline import Line
from tests.unit.cli.running import Run


def look(line: Line, batch_id: str) -> BatchProgress:
    """A look at the batch now."""
    return progress_of(line.store, BatchLists(line.store.database), SystemClock(), batch_id)


def test_a_batch_is_watched_from_quotes_to_its_end(line: Line, api: dict[str, str], run: Run) -> None:
    """To go, in flight, settled with a rate, complete: and the command ends with 0."""
    line.server.set_faults({"fulfilment": {"min_seconds": 0.05, "max_seconds": 0.1}})
    batch_id = ready(line, 6)
    quoted = look(line, batch_id)
    assert (quoted.orders, quoted.ended, quoted.to_go, quoted.in_flight) == (6, 0, 6, 0)
    assert quoted.quoted_rupiah == sum(order.quote_rupiah or 0 for order in line.orders(batch_id).values())
    assert quoted.per_minute is None
    early = run("batch", "watch", batch_id, "--timeout", "1", env=api)
    assert (early.code, "quoted: 0 of 6 orders ended" in early.out) == (3, True), early.err

    line.execute(batch_id)
    sent = look(line, batch_id)
    assert (sent.to_go, sent.in_flight, sent.charged_rupiah) == (6, 6, 0)
    line.wait(batch_id)
    settled = look(line, batch_id)
    assert (settled.ended, settled.settled, settled.to_go) == (6, 6, 0)
    assert settled.per_minute is not None
    assert settled.charged_rupiah == settled.quoted_rupiah > 0
    line.finish(batch_id)
    ran = run("batch", "watch", batch_id, env=api)
    assert ran.code == 0, ran.err
    assert "completed: 6 of 6 orders ended (6 succeeded)" in ran.out


def test_a_late_end_of_what_was_handed_over_still_arrives(line: Line, database: ApplicationDatabase) -> None:
    """Its callback has it asked about again, whichever batch it was of; the end is recorded."""
    line.server.set_faults({"fulfilment": {"min_seconds": 0.05, "max_seconds": 0.1}})
    batch_id = ready(line, 2, "L")
    line.execute(batch_id)
    later = SystemClock().now() + timedelta(minutes=5)
    commands = [
        OrderCommandRequest(order.request_id, Escalate("late", later))
        for order in line.orders(batch_id).values()
    ]
    line.handler.apply(commands, BY_TEST)
    line.finish(batch_id)
    assert look(line, batch_id).for_people == 2
    time.sleep(0.5)  # the sandbox ends them meanwhile
    call_back(line, database, batch_id)
    asyncio.run(ask_for_account(line))
    assert {order.state for order in line.orders(batch_id).values()} == {OrderState.SUCCEEDED}
    ended = look(line, batch_id)
    assert (ended.for_people, ended.settled, ended.batch.state) == (0, 2, BatchState.COMPLETED)
    # Only the last minutes tell how fast it goes now.
    since = SystemClock().now() + timedelta(seconds=1)
    long_ago = BatchLists(line.store.database).counts([batch_id], since)[batch_id]
    assert (long_ago.settled, long_ago.first_settled_at) == (0, None)


async def ask_for_account(line: Line) -> None:
    """A round of the janitor's questions."""
    async with AsyncSATClient(line.settings, SystemClock()) as sat:
        schedule = PostgresPollSchedule(line.store.database)
        poller = StatusPoller(line.handler, schedule, sat, random.Random(1), PollingLimits())
        await poller.poll_due(PollScope(account=ACCOUNT), BY_TEST)


def test_what_has_no_end_is_handed_over_as_a_list_and_the_batch_is_complete(
    line: Line, api: dict[str, str], run: Run
) -> None:
    """In the list, the result file and the summary; the watch ends with 1; a late end still lands."""
    line.server.set_faults({"faults": [{"fault": "stuck_pending", "rate": 1.0}]})
    batch_id = ready(line, 3)
    line.execute(batch_id)
    reason = "no end after 24 hours of waiting"
    # Not while the last attempt may still be under way.
    assert escalate_in_flight(line.handler, batch_id, reason, BY_TEST) == 0
    later = SystemClock().now() + timedelta(minutes=5)
    line.handler.apply(
        [OrderCommandRequest(o.request_id, Escalate(reason, later)) for o in line.orders(batch_id).values()],
        BY_TEST,
    )

    found = escalated_orders(line.store, batch_id)
    lines = list(found.lines())
    assert (found.orders, len(lines)) == (3, 4)
    for order, text in zip(line.orders(batch_id).values(), lines, strict=False):
        assert f"row {order.row_number}: order '{order.order_id}', 50k-simpati" in text
        assert order.request_id in text
        assert "SAT last said Pending" in text
        assert reason in text
        assert order.client_number not in text
    assert "sat order resolve REQUEST_ID" in lines[-1]

    summary, results = line.finish(batch_id)
    assert summary.batch.state.value == "completed"
    assert results.content.decode().count("unknown: may have been charged,escalated") == 3
    assert reason in results.content.decode()
    ran = run("batch", "watch", batch_id, env=api)
    assert (ran.code, "3 orders held or escalated" in ran.out) == (1, True), ran.err


def test_a_long_list_is_cut_and_counted(line: Line) -> None:
    """A task's log must not have thousands of lines."""
    batch_id = ready(line, LISTED_ORDERS + 7)
    line.server.set_faults({"faults": [{"fault": "stuck_pending", "rate": 1.0}]})
    line.execute(batch_id)
    later = SystemClock().now() + timedelta(minutes=5)
    commands = [
        OrderCommandRequest(order.request_id, Escalate("late", later))
        for order in line.orders(batch_id).values()
    ]
    line.handler.apply(commands, BY_TEST)
    found = escalated_orders(line.store, batch_id)
    assert (found.orders, len(found.order_ids)) == (LISTED_ORDERS + 7, LISTED_ORDERS)
    assert "and 7 more: see the result file" in list(found.lines())
