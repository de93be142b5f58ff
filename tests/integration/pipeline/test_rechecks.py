"""Weeks after the end, on a clock of our own: reversals and late successes are found on their day."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest

from sat_hook.commands.handler import CommandHandler
from sat_hook.domain.alerts import AlertKind
from sat_hook.domain.event_record import Event
from sat_hook.domain.order import OrderState
from sat_hook.domain.ports import SendWindow
from sat_hook.domain.rechecks import RecheckFinding
from sat_hook.pipeline.limits import RecheckLimits
from sat_hook.pipeline.rechecks import Rechecker, RecheckReport, missed_alerts
from sat_hook.protocol.messages import Account, Inquiry, InquiryRequest, OrderDetail, Product
from sat_hook.protocol.outcomes import CheckoutOutcome, StatusOutcome, StatusVerdict
from sat_hook.store.alerts import AlertBook
from sat_hook.store.database import Database
from sat_hook.store.event_store import Change, EventStore
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.store.rechecks import PostgresRecheckSchedule, RecheckSchedule
from sat_hook.testing.event_store import MemoryEventStore
from sat_hook.testing.rechecks import MemoryRecheckSchedule
from stack.databases import ApplicationDatabase
from tests.integration.store.test_rechecks import FAILED, REJECTED, REQUESTED, SUCCEEDED
from tests.orders import ACCOUNT, BY_TEST, ManualClock, received, stream_of

# Ten in the morning of the 2nd in Jakarta.
BEGIN = datetime(2026, 11, 2, 3, 0, tzinfo=UTC)
HOUR = 3600
DAY = 24 * HOUR
T = TypeVar("T")


async def in_place(work: Callable[[], T]) -> T:
    """Blocking work is done at once: time stands still meanwhile."""
    return work()


@dataclass
class OnlyAsked:
    """A SAT that can be asked for statuses; anything else of it is an error of the test."""

    statuses: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    is_away: bool = False

    async def ask_status(self, request_id: str) -> StatusOutcome:
        """What the script says; P02 for what it does not name."""
        self.asked.append(request_id)
        if self.is_away:
            return StatusOutcome(StatusVerdict.UNREADABLE, "http_503")
        status = self.statuses.get(request_id)
        if status is None:
            return StatusOutcome(StatusVerdict.NOT_FOUND, "not_found")
        body = f'{{"status":"{status}","n":{len(self.asked)}}}'
        return StatusOutcome(
            StatusVerdict.SIGNED,
            "signed",
            detail=OrderDetail(request_id=request_id, status=status),
            evidence_body=body,
            signature="signature",
            key_fingerprint="key",
            response_digest=hashlib.sha256(body.encode()).hexdigest(),
            http_status=200,
        )

    async def account(self) -> Account:
        raise AssertionError("the deposit is of no concern here")

    async def list_products(self, codes: Sequence[str] | None = None) -> list[Product]:
        raise AssertionError("the catalogue is of no concern here")

    async def inquiry(self, request: InquiryRequest) -> Inquiry:
        raise AssertionError("no price is of concern here")

    async def place_order(self, body: bytes, request_id: str, window: SendWindow | None) -> CheckoutOutcome:
        raise AssertionError("nothing is ever sent from here")


@dataclass
class World:
    """A store with its watch, a clock, and a SAT that only answers."""

    store: EventStore
    watch: RecheckSchedule
    clock: ManualClock = field(default_factory=lambda: ManualClock(BEGIN))
    sat: OnlyAsked = field(default_factory=OnlyAsked)
    limits: RecheckLimits = field(default_factory=RecheckLimits)

    def end(self, number: int, *events: Event, says: str | None) -> str:
        """Order ``number`` has ended now; ``says`` is what SAT answers from now on."""
        stream = stream_of(number)
        chain = (received(number), REQUESTED, *events)
        change = Change.of_order(stream.key, None, chain, self.clock.now())
        assert not self.store.append([change], BY_TEST, self.clock.now())
        if says is not None:
            self.sat.statuses[stream.key] = says
        return stream.key

    def look(self) -> RecheckReport:
        """One run."""

        handler = CommandHandler(self.store, self.clock, in_place)
        rechecker = Rechecker(handler, self.watch, self.sat, BY_TEST, self.limits)
        return asyncio.run(rechecker.run(ACCOUNT))

    def every_hour(self, hours: int) -> dict[str, list[datetime]]:
        """Run once an hour, as the DAG does; when each order was asked about."""
        moments: dict[str, list[datetime]] = {}
        for _ in range(hours):
            self.sat.asked.clear()
            self.look()
            for key in self.sat.asked:
                moments.setdefault(key, []).append(self.clock.now())
            self.clock.advance(HOUR)
        return moments

    def states(self, *keys: str) -> list[OrderState]:
        """The states of these orders."""
        orders = self.store.load_orders(keys)
        return [orders[key].state for key in keys]

    def types(self, number: int) -> list[str]:
        """The types of the order's events."""
        return [recorded.type_name for recorded in self.store.read_stream(stream_of(number))]


@pytest.fixture(params=["memory", "postgres"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """Each store in turn."""
    if request.param == "memory":
        store = MemoryEventStore(ManualClock(BEGIN))
        yield World(store, MemoryRecheckSchedule(store))
        return
    database = Database(request.getfixturevalue("database").writer_dsn)
    yield World(PostgresEventStore(database), PostgresRecheckSchedule(database))
    database.close()


def test_every_ended_order_is_asked_about_on_its_days_and_never_else(world: World) -> None:
    """Two weeks, a run each hour: one question on D+1, one on D+7, whatever the end was."""
    keys = [
        world.end(1, SUCCEEDED, says="Success"),
        world.end(2, FAILED, says="Failed"),
        world.end(3, REJECTED, says=None),
    ]
    moments = world.every_hour(14 * 24)
    for key in keys:
        days = [(moment + timedelta(hours=7)).date().day for moment in moments[key]]
        assert days == [3, 9], "the 2nd of November was the day of the end"
        assert all(moment.hour == 23 for moment in moments[key]), "six o'clock in Jakarta"
    assert world.states(*keys) == [OrderState.SUCCEEDED, OrderState.FAILED, OrderState.FAILED]
    assert world.types(1)[-1] == "OrderSucceeded", "a look that finds the same is no event"


def test_a_reversal_is_a_new_event_and_edits_nothing(world: World) -> None:
    """Success, taken back days later: D+1 finds nothing, D+7 does."""
    key = world.end(1, SUCCEEDED, says="Success")
    world.every_hour(3 * 24)
    before = world.store.read_stream(stream_of(1))
    world.sat.statuses[key] = "Failed"
    world.every_hour(6 * 24)
    after = world.store.read_stream(stream_of(1))
    assert world.states(key) == [OrderState.REVERSED]
    assert after[:-1] == before
    assert after[-1].type_name == "OrderReversed"


def test_a_late_success_is_found_and_watched_in_turn(world: World) -> None:
    """Failed, paid after all: the new end has marks of its own."""
    key = world.end(1, FAILED, says="Success")
    moments = world.every_hour(10 * 24)
    assert world.states(key) == [OrderState.SUCCEEDED]
    assert world.types(1)[-2:] == ["OrderFailed", "OrderSucceeded"]
    days = [(moment + timedelta(hours=7)).date().day for moment in moments[key]]
    assert days == [3, 4, 9, 10], "D+1 and D+7 of the failure, and of the success that was found on the 3rd"


def test_a_contradiction_is_kept_and_the_state_stays(world: World) -> None:
    """Pending after Success fits nothing."""
    key = world.end(1, SUCCEEDED, says="Pending")
    report = None
    for _ in range(30):
        report = world.look()
        if report.asked:
            break
        world.clock.advance(HOUR)
    assert report is not None
    assert report.found == {RecheckFinding.CHANGED: 1}
    assert world.states(key) == [OrderState.SUCCEEDED]
    assert world.types(1)[-1] == "EvidenceContradicted"


def test_a_silent_sat_is_asked_again_until_it_answers(world: World) -> None:
    """An answer that proves nothing is no look. It is late then, and the day's misses are told."""
    world.end(1, SUCCEEDED, says="Success")
    world.sat.is_away = True
    asked = world.every_hour(40)[stream_of(1).key]
    assert 3 < len(asked) < 12, "with growing distances"
    (count,) = world.watch.counts(world.clock.now(), BEGIN)
    assert count.missed == 1
    (alert,) = missed_alerts([count], world.clock.now())
    assert alert.kind is AlertKind.FINAL_WATCH_MISSED
    assert alert.key == "final_watch_missed/demo/D+1/2026-11-03"
    world.sat.is_away = False
    world.every_hour(12)
    (count,) = world.watch.counts(world.clock.now(), BEGIN)
    assert (count.late, count.missed) == (1, 0)


def test_an_order_that_sat_signed_for_and_does_not_find_is_asked_about_again(world: World) -> None:
    """P02 proves nothing, not even that the order was looked at: a reversal behind it is found on its day."""
    key = world.end(1, SUCCEEDED, says=None)
    looked = world.every_hour(24)[key]
    assert len(looked) > 1
    assert [count.waiting for count in world.watch.counts(world.clock.now(), BEGIN)] == [1]
    world.sat.statuses[key] = "Failed"
    world.every_hour(8)
    assert world.states(key) == [OrderState.REVERSED]
    assert [count.changed for count in world.watch.counts(world.clock.now(), BEGIN)] == [1]


def test_it_gives_up_in_the_end_and_says_so(world: World) -> None:
    """An order without an answer is given up in the end, and is not asked about for ever."""
    world.end(1, SUCCEEDED, says="Success")
    world.sat.is_away = True
    world.every_hour(17 * 24)
    assert [count.missed for count in world.watch.counts(world.clock.now(), BEGIN)] == [1, 1]
    assert world.every_hour(24) == {}


def test_a_run_that_did_not_happen_is_made_up_for(world: World) -> None:
    """Airflow was down for three days: D+1 is late, D+7 in time."""
    world.end(1, SUCCEEDED, says="Success")
    world.clock.advance(3 * DAY)
    world.every_hour(6 * 24)
    counts = {count.days: count for count in world.watch.counts(world.clock.now(), BEGIN)}
    assert (counts[1].late, counts[1].missed) == (1, 0)
    assert (counts[7].in_time, counts[7].missed) == (1, 0)


def test_a_run_is_bounded_and_the_next_goes_on(world: World) -> None:
    """No more orders than a run may take, the rest an hour later, each once."""
    keys = [world.end(number, SUCCEEDED, says="Success") for number in range(1, 11)]
    world.limits = RecheckLimits(orders=4, claim=3)
    world.clock.advance(DAY)
    assert [world.look().asked for _ in range(4)] == [4, 4, 2, 0]
    assert sorted(world.sat.asked) == sorted(keys)


def test_other_days_can_be_wanted(world: World) -> None:
    """D+2 alone, from midnight."""
    key = world.end(1, SUCCEEDED, says="Success")
    world.limits = RecheckLimits(days=(2,), hour=0)
    (moment,) = world.every_hour(10 * 24)[key]
    assert moment == datetime(2026, 11, 3, 17, 0, tzinfo=UTC)


def test_a_miss_is_told_once(database: ApplicationDatabase) -> None:
    """However often it is seen; another day is other news."""
    opened = Database(database.writer_dsn)
    world = World(PostgresEventStore(opened), PostgresRecheckSchedule(opened))
    world.end(1, SUCCEEDED, says="Success")
    world.watch.enroll(1, 6)
    world.clock.advance(3 * DAY)
    alerts = missed_alerts(world.watch.counts(world.clock.now(), BEGIN), world.clock.now())
    assert AlertBook(opened).add(alerts) == 1
    assert AlertBook(opened).add(alerts) == 0
    opened.close()
