"""A machine whose clock is wrong blocks nothing for the others, and sends nothing itself."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta

import pytest

from sat_hook.clients.asynchronous import AsyncSATClient
from sat_hook.clients.clock import SystemClock
from sat_hook.commands.handler import CommandHandler
from sat_hook.domain.order import OrderState
from sat_hook.pipeline.errors import ClockApartError
from sat_hook.pipeline.limits import RecoveryLimits
from sat_hook.pipeline.overrides import Resolution, resolve_order
from sat_hook.pipeline.recovery import Recovery
from sat_hook.pipeline.status_polling import StatusPoller
from sat_hook.store.clock import shared_clock
from sat_hook.store.poll_schedule import PollScope, PostgresPollSchedule
from tests.integration.pipeline.test_recovery import AT_ONCE, Shifted, lose_requests
from tests.integration.pipeline.test_steps import ready
from tests.orders import ACCOUNT, BY_TEST
from tests.pipeline import QUICK_POLLS, Line

OFF = [timedelta(hours=7), timedelta(hours=-7), timedelta(seconds=11)]


def on_wrong_machine(line: Line, off: timedelta) -> CommandHandler:
    """The command handler of a task on a machine whose clock is off."""
    return CommandHandler(line.store, shared_clock(line.store, Shifted(off)))


def poll(line: Line, handler: CommandHandler) -> None:
    """One pass over the account."""

    async def run() -> None:
        async with AsyncSATClient(line.settings, SystemClock()) as sat:
            schedule = PostgresPollSchedule(line.store.database)
            poller = StatusPoller(handler, schedule, sat, random.Random(1), QUICK_POLLS)
            await poller.poll_due(PollScope(account=ACCOUNT), BY_TEST)

    asyncio.run(run())


@pytest.mark.parametrize("off", OFF)
def test_a_machine_that_is_too_far_off_sends_nothing(line: Line, off: timedelta) -> None:
    """The task fails with a sentence; its orders stay quoted, and another machine sends them."""
    batch_id = ready(line, 2)
    ahead = "ahead of" if off > timedelta(0) else "behind"
    with pytest.raises(ClockApartError, match=rf"2 orders .* stay quoted.* seconds {ahead} the database's"):
        line.send(batch_id, handler=on_wrong_machine(line, off))
    assert {order.state for order in line.orders(batch_id).values()} == {OrderState.QUOTED}
    assert line.server.ledger()["requests"] == {}
    line.send(batch_id, handler=on_wrong_machine(line, timedelta(0)))
    line.wait(batch_id)
    assert {order.state for order in line.orders(batch_id).values()} == {OrderState.SUCCEEDED}


@pytest.mark.parametrize("off", OFF[:2])
def test_a_poll_by_a_wrong_machine_keeps_no_end_out(line: Line, off: timedelta) -> None:
    """What it records, and when it asks next, is dated by the database's clock."""
    line.server.set_faults({"fulfilment": {"min_seconds": 2.0, "max_seconds": 2.0}})
    batch_id = ready(line, 1)
    line.execute(batch_id, reserve_first=False)
    wrong = on_wrong_machine(line, off)
    for _ in range(2):
        poll(line, wrong)
        asyncio.run(asyncio.sleep(0.3))
    order = line.only_order(batch_id)
    assert order.state is OrderState.PENDING
    assert order.evidence_at is not None
    assert abs(order.evidence_at - SystemClock().now()) < timedelta(seconds=30)
    line.wait(batch_id, seconds=20)
    assert line.only_order(batch_id).state is OrderState.SUCCEEDED


def test_a_wrong_machine_never_makes_an_order_look_absent(line: Line) -> None:
    """Ahead of its time "not found" would allow a resend while the last attempt may still be under way."""
    batch_id = ready(line, 1)
    line.server.set_faults({"faults": [{"fault": "request_lost", "operations": ["checkout"]}]})
    line.execute(batch_id, reserve_first=False)
    for _ in range(3):
        poll(line, on_wrong_machine(line, timedelta(hours=7)))
        asyncio.run(asyncio.sleep(0.3))
    order = line.only_order(batch_id)
    assert (order.state, order.not_found_at) == (OrderState.UNKNOWN, None)


def test_a_wrong_machine_sends_nothing_again(line: Line) -> None:
    """Recovery asks and hands over as ever; what it would send again it leaves to another machine."""
    batch_id = ready(line, 1)
    lose_requests(line, batch_id)
    wrong = on_wrong_machine(line, timedelta(seconds=30))

    async def run() -> None:
        async with AsyncSATClient(line.settings, SystemClock()) as sat:
            schedule = PostgresPollSchedule(line.store.database)
            limits = RecoveryLimits()
            recovery = Recovery(
                wrong, schedule, sat, random.Random(1), BY_TEST, limits=limits, polling=QUICK_POLLS,
                sending=AT_ONCE,
            )  # fmt: skip
            await recovery.run(ACCOUNT)

    asyncio.run(run())
    asyncio.run(asyncio.sleep(2.5))
    with pytest.raises(ClockApartError, match="1 orders were not sent again: this machine's clock"):
        asyncio.run(run())
    assert line.only_order(batch_id).attempt == 1


def test_a_person_decides_an_order_that_was_dated_ahead(line: Line) -> None:
    """An earlier release wrote its deadlines by a clock that was ahead: people need not wait for that."""
    batch_id = ready(line, 1)
    line.server.set_faults({"faults": [{"fault": "request_lost", "operations": ["checkout"]}]})
    handler = CommandHandler(line.store, Shifted(timedelta(minutes=29)))
    line.send(batch_id, handler=handler)
    line.server.set_faults({})
    order = line.only_order(batch_id)
    assert order.settled_after is not None
    assert order.settled_after > SystemClock().now() + timedelta(minutes=20)
    limits = RecoveryLimits(give_up_after_seconds=1.0)

    async def recover() -> None:
        async with AsyncSATClient(line.settings, SystemClock()) as sat:
            schedule = PostgresPollSchedule(line.store.database)
            recovery = Recovery(
                line.handler, schedule, sat, random.Random(1), BY_TEST, limits=limits, polling=QUICK_POLLS,
                sending=AT_ONCE,
            )  # fmt: skip
            await recovery.run(ACCOUNT)

    asyncio.run(recover())
    assert line.only_order(batch_id).state is OrderState.ESCALATED
    decided = resolve_order(
        line.handler, order.request_id, Resolution.FAILED, "SAT has no trace of it", BY_TEST, limits
    )
    assert decided.state is OrderState.FAILED
