"""However many orders are due, what a callback came for is asked about next."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from datetime import timedelta

from sat_hook.commands.handler import CommandHandler
from sat_hook.domain import order_events as happened
from sat_hook.domain.order import Order, OrderState
from sat_hook.pipeline.limits import PollingLimits
from sat_hook.pipeline.status_polling import StatusPoller
from sat_hook.protocol.outcomes import StatusOutcome
from sat_hook.store.event_store import Change
from sat_hook.store.poll_schedule import PollScope
from sat_hook.testing.event_store import MemoryEventStore
from sat_hook.testing.poll_schedule import MemoryPollSchedule
from tests.integration.pipeline.test_rechecks import OnlyAsked, in_place
from tests.orders import ACCOUNT, BATCH, BY_TEST, T0, ManualClock, received, stream_of

REQUESTED = happened.CheckoutRequested(
    attempt=1, body="{}", price_rupiah=52_000, send_before=T0, settled_after=T0
)
ONE_BY_ONE = PollingLimits(in_flight=1, claim=1, first_delay_seconds=2.0)


def due_orders(
    clock: ManualClock, count: int, store: MemoryEventStore | None = None
) -> tuple[MemoryEventStore, MemoryPollSchedule]:
    """Orders of one batch that were sent and are to be asked about now."""
    store = store or MemoryEventStore(clock)
    for number in range(1, count + 1):
        change = Change.of_order(stream_of(number).key, None, (received(number), REQUESTED), T0)
        store.append([change], BY_TEST, T0)
    schedule = MemoryPollSchedule(store)
    schedule.enroll(PollScope(batch_id=BATCH), T0 + timedelta(seconds=2))
    clock.advance(2)
    return store, schedule


class CallsBack(OnlyAsked):
    """A SAT whose callback for another order comes while it answers the first question."""

    def __init__(self, schedule: MemoryPollSchedule, about: str) -> None:
        super().__init__()
        self._schedule = schedule
        self._about = about

    async def ask_status(self, request_id: str) -> StatusOutcome:
        if not self.asked:
            self._schedule.receive(ACCOUNT, self._about, "a" * 64)
        self.statuses[request_id] = "Success" if request_id == self._about else "Pending"
        return await super().ask_status(request_id)


class OvertakesItself(OnlyAsked):
    """A callback comes for the first order asked about; its second answer is there before its first."""

    def __init__(self, schedule: MemoryPollSchedule, clock: ManualClock) -> None:
        super().__init__()
        self._schedule = schedule
        self._clock = clock
        self._second_is_there = asyncio.Event()

    async def ask_status(self, request_id: str) -> StatusOutcome:
        if not self.asked:
            self.statuses[request_id] = "Pending"
            older = await super().ask_status(request_id)
            self._schedule.receive(ACCOUNT, request_id, "a" * 64)
            self._clock.advance(0.01)
            async with asyncio.timeout(30):
                await self._second_is_there.wait()
            return older
        self.statuses[request_id] = "Success"
        if request_id == self.asked[0]:
            self._second_is_there.set()
        return await super().ask_status(request_id)


def test_the_older_of_two_answers_does_not_hide_the_newer() -> None:
    """Both are recorded in one group, the one that was asked for first behind the other."""
    clock = ManualClock()
    store, schedule = due_orders(clock, 8)
    limits = PollingLimits(in_flight=16, claim=4, group_wait_seconds=0.2)
    sat = OvertakesItself(schedule, clock)
    poller = StatusPoller(CommandHandler(store, clock, in_place), schedule, sat, random.Random(1), limits)
    asyncio.run(poller.poll_due(PollScope(batch_id=BATCH), BY_TEST))
    assert sat.asked.count(sat.asked[0]) == 2
    assert store.load_orders([sat.asked[0]])[sat.asked[0]].state is OrderState.SUCCEEDED


def test_a_callback_does_not_queue_behind_what_is_merely_due() -> None:
    """Fifty orders are due; the last one's callback comes during the first question."""
    clock = ManualClock()
    store, schedule = due_orders(clock, 50)
    last = max(stream_of(number).key for number in range(1, 51))
    sat = CallsBack(schedule, last)
    poller = StatusPoller(CommandHandler(store, clock, in_place), schedule, sat, random.Random(1), ONE_BY_ONE)
    asyncio.run(poller.poll_due(PollScope(batch_id=BATCH), BY_TEST))
    assert len(sat.asked) == 50
    assert last in sat.asked[:4], "one or two more may have been taken already"


class FailsForOne(MemoryEventStore):
    """A store in which one order can neither be read nor changed."""

    bad = ""

    def load_orders(self, request_ids: Iterable[str]) -> dict[str, Order]:
        wanted = list(request_ids)
        if self.bad in wanted:
            Order.model_validate_json("{}")
        return super().load_orders(wanted)


def test_an_order_that_cannot_be_recorded_costs_only_itself() -> None:
    """The waits of an account share one pass: its other orders end, and the report says what failed."""
    clock = ManualClock()
    store, schedule = due_orders(clock, 8, FailsForOne(clock))
    assert isinstance(store, FailsForOne)
    keys = [stream_of(number).key for number in range(1, 9)]
    store.bad = keys[3]
    sat = OnlyAsked(dict.fromkeys(keys, "Success"))
    limits = PollingLimits(in_flight=8, claim=8, group_wait_seconds=0.05)
    poller = StatusPoller(CommandHandler(store, clock, in_place), schedule, sat, random.Random(1), limits)
    report = asyncio.run(poller.poll_due(PollScope(batch_id=BATCH), BY_TEST))
    assert (report.asked, report.ended) == (8, 7)
    assert report.unproven == {"not recorded: ValidationError": 1}
