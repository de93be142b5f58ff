"""Recovery: what batches left in flight is asked about, sent again only on proof, or handed to people."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from sat_hook.clients.asynchronous import AsyncSATClient
from sat_hook.clients.clock import SystemClock
from sat_hook.commands.errors import OverrideRefusedError
from sat_hook.domain.event_record import StreamId, StreamKind
from sat_hook.domain.order import Order, OrderState
from sat_hook.domain.order_events import CheckoutRequested
from sat_hook.pipeline.errors import AccountPausedError, OrderNotFoundError
from sat_hook.pipeline.limits import ExecutionLimits, PollingLimits, RecoveryLimits
from sat_hook.pipeline.overrides import Resolution, pause_account, resolve_order, resume_account
from sat_hook.pipeline.recovery import Recovery, RecoveryReport
from sat_hook.pipeline.status_polling import StatusPoller, orders_in_flight
from sat_hook.store.poll_schedule import PollScope, PostgresPollSchedule
from tests.integration.pipeline.test_steps import ready
from tests.orders import ACCOUNT, BY_TEST
from tests.pipeline import QUICK_POLLS, Line

AT_ONCE = ExecutionLimits(
    send_window_seconds=2.0, reply_timeout_seconds=0.0, grace_seconds=0.0, failures_to_stop=1000
)


# Rounds are seconds apart; what the first one finds is due in the next, however long that round takes.
POLLS = replace(QUICK_POLLS, first_delay_seconds=1.0)


DEFAULT = RecoveryLimits()


class Shifted(SystemClock):
    """The system's clock, some time ahead on its wall face."""

    def __init__(self, ahead: timedelta = timedelta()) -> None:
        self.ahead = ahead

    def now(self) -> datetime:
        return super().now() + self.ahead


def recover(
    line: Line, *, ahead: timedelta = timedelta(seconds=3), limits: RecoveryLimits = DEFAULT
) -> RecoveryReport:
    """One round of recovery, ``ahead`` of now."""

    async def run() -> RecoveryReport:
        handler = line.handler
        handler.clock = Shifted(ahead)
        async with AsyncSATClient(line.settings, handler.clock) as sat:
            recovery = Recovery(
                handler,
                PostgresPollSchedule(line.store.database),
                sat,
                random.Random(1),
                BY_TEST,
                limits=limits,
                polling=POLLS,
                sending=AT_ONCE,
            )
            return await recovery.run(ACCOUNT)

    return asyncio.run(run())


def recover_until_ended(line: Line, batch_id: str) -> None:
    """Rounds of recovery, half a minute ahead, until nothing of the batch is in flight."""
    for _ in range(100):
        if not orders_in_flight(line.handler, batch_id):
            return
        recover(line, ahead=timedelta(seconds=30))
        time.sleep(0.05)
    raise AssertionError("orders are still in flight")


def lose_requests(line: Line, batch_id: str) -> None:
    """Send a batch whose requests never arrive, which cannot be known."""
    line.server.set_faults({"faults": [{"fault": "request_lost", "operations": ["checkout"], "rate": 1.0}]})
    line.execution = AT_ONCE
    line.execute(batch_id)
    line.server.set_faults({"faults": []})


def orders(line: Line, batch_id: str) -> list[Order]:
    """The batch's orders by row."""
    return sorted(line.orders(batch_id).values(), key=lambda order: order.row_number)


def test_a_request_that_never_arrived_is_sent_again_as_it_was(line: Line) -> None:
    """After SAT says "not found" the same id and the same body go out again, once, and are paid once."""
    batch_id = ready(line, 3)
    lose_requests(line, batch_id)
    assert {o.state for o in orders(line, batch_id)} == {OrderState.UNKNOWN}

    assert recover(line).sent_again == 0, "polls are due only a moment later"
    report = recover(line, ahead=timedelta(seconds=6))
    assert report.sent_again == 3
    recover_until_ended(line, batch_id)
    assert {o.state for o in orders(line, batch_id)} == {OrderState.SUCCEEDED}
    for order in orders(line, batch_id):
        log = line.store.read_stream(StreamId(StreamKind.ORDER, order.request_id))
        bodies = [e.event.body for e in log if isinstance(e.event, CheckoutRequested)]
        assert len(bodies) == 2
        assert bodies[0] == bodies[1]
        assert line.server.request(order.request_id)["charged"] == 1


def test_not_found_before_the_attempt_has_settled_proves_nothing(line: Line) -> None:
    """While the last attempt may still arrive nothing is sent again, whatever SAT says."""
    batch_id = ready(line, 2)
    lose_requests(line, batch_id)
    report = recover(line, ahead=timedelta(seconds=1.0))
    assert (report.sent_again, report.escalated, report.waiting) == (0, 0, 2)
    assert {o.state for o in orders(line, batch_id)} == {OrderState.UNKNOWN}


def test_beyond_the_dedup_horizon_nothing_is_sent_again(line: Line) -> None:
    """SAT might not refuse the duplicate any more: the order goes to people instead."""
    batch_id = ready(line, 2)
    lose_requests(line, batch_id)
    report = None
    for seconds in (3, 6):
        report = recover(
            line, ahead=timedelta(seconds=seconds), limits=RecoveryLimits(dedup_horizon_seconds=1.0)
        )
    assert report is not None
    assert (report.sent_again, report.escalated) == (0, 2)
    (first, _) = orders(line, batch_id)
    assert first.state is OrderState.ESCALATED
    assert "a resend is safe has passed" in (first.reason_detail or "")
    assert line.server.ledger()["totals"]["posted"] == 2, "the two lost requests, and nothing since"


def test_a_lost_reply_is_never_sent_again(line: Line) -> None:
    """Charged but unanswered: SAT knows the order, so recovery only asks."""
    batch_id = ready(line, 3)
    line.server.set_faults({"faults": [{"fault": "response_lost", "operations": ["checkout"], "rate": 1.0}]})
    line.execution = AT_ONCE
    line.execute(batch_id)
    line.server.set_faults({"faults": []})
    for seconds in (3, 6, 9):
        assert recover(line, ahead=timedelta(seconds=seconds)).sent_again == 0
    recover_until_ended(line, batch_id)
    assert all(line.server.request(o.request_id)["posted"] == 1 for o in orders(line, batch_id))


def test_an_abandoned_intent_is_found_and_finished(line: Line) -> None:
    """Killed between intent and request: it may have left; recovery asks, then sends it."""
    batch_id = ready(line, 1)
    (order,) = orders(line, batch_id)

    class Killed(BaseException):
        """The process is gone."""

    async def killed(*_: object) -> None:
        raise Killed

    line.execution = AT_ONCE
    original = AsyncSATClient.place_order
    AsyncSATClient.place_order = killed  # type: ignore[assignment, method-assign]
    try:
        with pytest.raises(Killed):
            line.execute(batch_id)
    finally:
        AsyncSATClient.place_order = original  # type: ignore[method-assign]
    assert orders(line, batch_id)[0].state is OrderState.SUBMITTING

    for seconds in (3, 6):
        recover(line, ahead=timedelta(seconds=seconds))
    recover_until_ended(line, batch_id)
    assert orders(line, batch_id)[0].state is OrderState.SUCCEEDED
    assert line.server.request(order.request_id)["posted"] == 1


def test_an_order_that_never_ends_goes_to_people_and_comes_back_by_evidence(line: Line) -> None:
    """Pending for ever is escalated after the time is up; a later signed end still counts."""
    batch_id = ready(line, 1)
    line.server.set_faults({"faults": [{"fault": "stuck_pending", "rate": 1.0}]})
    line.execution = AT_ONCE
    line.execute(batch_id)
    assert recover(line).escalated == 0
    assert recover(line, ahead=timedelta(hours=25)).escalated == 1
    (order,) = orders(line, batch_id)
    assert "no end 24 hours after it was sent" in (order.reason_detail or "")


def test_one_pass_ends_however_quickly_orders_come_due_again(line: Line) -> None:
    """Deadlines, escalations and resends wait for the pass, so it asks about each order once and returns."""
    batch_id = ready(line, 30)
    line.server.set_faults({"faults": [{"fault": "stuck_pending", "rate": 1.0}]})
    line.execute(batch_id)
    always_due = PollingLimits(in_flight=2, claim=4, first_delay_seconds=0.0, longest_delay_seconds=0.0)

    async def one_pass() -> int:
        async with AsyncSATClient(line.settings, SystemClock()) as sat:
            schedule = PostgresPollSchedule(line.store.database)
            poller = StatusPoller(line.handler, schedule, sat, random.Random(1), always_due)
            return (await poller.poll_due(PollScope(batch_id=batch_id), BY_TEST)).asked

    assert asyncio.run(asyncio.wait_for(one_pass(), 60)) == 30


def test_people_resolve_what_the_pipeline_could_not(line: Line) -> None:
    """An escalated order is ended by a person, with a reason; nothing else may be."""
    batch_id = ready(line, 2)
    lose_requests(line, batch_id)
    for seconds in (3, 6):
        recover(line, ahead=timedelta(seconds=seconds), limits=RecoveryLimits(attempts=1))
    first, second = orders(line, batch_id)
    assert {first.state, second.state} == {OrderState.ESCALATED}
    later = line.handler
    later.clock = Shifted(timedelta(seconds=8))

    with pytest.raises(OverrideRefusedError, match="reason"):
        resolve_order(later, first.request_id, Resolution.FAILED, " ", BY_TEST, DEFAULT)
    with pytest.raises(OrderNotFoundError):
        resolve_order(later, "S" + "A" * 31, Resolution.FAILED, "not there", BY_TEST, DEFAULT)
    failed = resolve_order(
        later, first.request_id, Resolution.FAILED, "SAT says so", BY_TEST, RecoveryLimits()
    )
    assert (failed.state, failed.ended_by_operator) == (OrderState.FAILED, True)
    with pytest.raises(OverrideRefusedError, match="expected an escalated order"):
        resolve_order(later, first.request_id, Resolution.FAILED, "SAT says so", BY_TEST, DEFAULT)

    resolve_order(later, second.request_id, Resolution.RESEND, "SAT has no trace", BY_TEST, DEFAULT)
    for seconds in (9, 12):
        recover(line, ahead=timedelta(seconds=seconds), limits=RecoveryLimits(attempts=1))
    recover_until_ended(line, batch_id)
    assert orders(line, batch_id)[1].state is OrderState.SUCCEEDED
    assert line.server.request(second.request_id)["charged"] == 1


def test_a_paused_account_sends_nothing_and_goes_on_when_resumed(line: Line) -> None:
    """The kill switch stops execution and resends; what is in flight is still asked about."""
    batch_id = ready(line, 4)
    pause_account(line.handler, ACCOUNT, "fraud alarm", BY_TEST)
    with pytest.raises(AccountPausedError, match="fraud alarm"):
        line.execute(batch_id)
    assert line.server.ledger()["requests"] == {}
    assert {o.state for o in orders(line, batch_id)} == {OrderState.QUOTED}

    resume_account(line.handler, ACCOUNT, "all clear", BY_TEST)
    lose_requests(line, batch_id)
    pause_account(line.handler, ACCOUNT, "again", BY_TEST)
    for seconds in (3, 6):
        report = recover(line, ahead=timedelta(seconds=seconds))
        assert (report.sent_again, report.paused) == (0, "again")
    resume_account(line.handler, ACCOUNT, "all clear", BY_TEST)
    assert recover(line, ahead=timedelta(seconds=9)).sent_again == 4


def test_a_pause_stops_a_chunk_that_is_under_way_within_a_second(line: Line) -> None:
    """Orders that were not sent yet stay quoted."""
    batch_id = ready(line, 400)
    slow = {
        "fault": "delay",
        "operations": ["checkout"],
        "rate": 1.0,
        "distribution": "fixed",
        "seconds": 0.2,
    }
    line.server.set_faults({"faults": [slow]})
    line.execution = ExecutionLimits(in_flight=4)
    line.run_of(batch_id).guard()

    async def both() -> None:
        async def pause_soon() -> float:
            await asyncio.to_thread(line.server.wait_until, lambda ledger: ledger["totals"]["charged"] > 0)
            await asyncio.to_thread(pause_account, line.handler, ACCOUNT, "stop", BY_TEST)
            return asyncio.get_running_loop().time()

        pausing = asyncio.create_task(pause_soon())
        with pytest.raises(AccountPausedError):
            await line.run_of(batch_id).execute()
        paused_at = await pausing
        assert asyncio.get_running_loop().time() - paused_at < 8

    asyncio.run(both())
    states = [o.state for o in orders(line, batch_id)]
    assert OrderState.PENDING in states
    assert states.count(OrderState.QUOTED) > 200
