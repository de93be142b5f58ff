"""However many orders are due, what a callback came for is asked about next."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta

from sat_hook.domain import order_events as happened
from sat_hook.domain.order import evolve
from sat_hook.pipeline.finality import StatusPoller
from sat_hook.pipeline.limits import PollingLimits
from sat_hook.pipeline.resolver import Resolver
from sat_hook.protocol.outcomes import StatusOutcome
from sat_hook.store.event_store import Change
from sat_hook.store.memory import MemoryEventStore
from sat_hook.store.memory_polls import MemoryPollSchedule
from sat_hook.store.poll_schedule import PollScope
from tests.integration.pipeline.test_post_final import OnlyAsked, in_place
from tests.orders import ACCOUNT, BATCH, BY_TEST, T0, ManualClock, received, stream_of

REQUESTED = happened.CheckoutRequested(
    attempt=1, body="{}", price_rupiah=52_000, send_before=T0, settled_after=T0
)
ONE_BY_ONE = PollingLimits(in_flight=1, claim=1, first_delay_seconds=2.0)


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


def test_a_callback_does_not_queue_behind_what_is_merely_due() -> None:
    """Fifty orders are due; the last one's callback comes during the first question."""
    clock = ManualClock()
    store = MemoryEventStore(clock)
    schedule = MemoryPollSchedule(store)
    for number in range(1, 51):
        stream, order = stream_of(number), None
        for event in (received(number), REQUESTED):
            order = evolve(order, stream.key, event, T0)
        assert order is not None
        store.append([Change(stream, 0, (received(number), REQUESTED), order)], BY_TEST, T0)
    last = max(stream_of(number).key for number in range(1, 51))
    sat = CallsBack(schedule, last)
    poller = StatusPoller(Resolver(store, clock, in_place), schedule, sat, random.Random(1), ONE_BY_ONE)
    scope = PollScope(batch_id=BATCH)
    schedule.enroll(scope, T0 + timedelta(seconds=2))
    clock.advance(2)
    asyncio.run(poller.poll_due(scope, BY_TEST))
    assert len(sat.asked) == 50
    assert last in sat.asked[:4], "one or two more may have been taken already"
