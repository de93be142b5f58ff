"""Reserving against a real SAT server and a real database: at once, lagging, late, and not alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sat_hook.clients.clock import SystemClock
from sat_hook.commands.handler import OrderCommandRequest
from sat_hook.domain.account import ForeignSpendSuspected, TopUpSeen
from sat_hook.domain.batch_events import FundsReserved, ShortFundsPolicy
from sat_hook.domain.event_record import Event, StreamId, StreamKind
from sat_hook.domain.funds import MovementKind, available_rupiah, commitment_of, outstanding
from sat_hook.domain.identity import account_id_of
from sat_hook.domain.order import OrderState
from sat_hook.domain.order_commands import Hold, Release
from sat_hook.domain.order_events import HoldReason
from sat_hook.pipeline.errors import NotReservedError
from sat_hook.pipeline.funding import missing_for, record_observation, reserve, shortage
from sat_hook.pipeline.limits import FundingLimits
from sat_hook.store.database import Database
from sat_hook.store.event_store import OrderSlice, each_order
from sat_hook.store.funds import PostgresFunds
from sat_hook.store.postgres import PostgresEventStore
from stack.databases import ApplicationDatabase
from tests.at_once import at_once
from tests.deposits import quoted_batch, seen
from tests.integration.pipeline.test_steps import prepaid
from tests.orders import ACCOUNT, BY_TEST
from tests.pipeline import Line, line_of

PRICE = 52_000
AT_ONCE = {"fulfilment": {"min_seconds": 0.05, "max_seconds": 0.1}}
NO_LAG = FundingLimits(saldo_lag_seconds=0.0)
PARTIAL, WAIT = ShortFundsPolicy.PARTIAL, ShortFundsPolicy.WAIT


def movements(line: Line) -> list[Event]:
    """What was recorded of the account's deposit."""
    stream = StreamId(StreamKind.ACCOUNT, account_id_of(ACCOUNT))
    found = (recorded.event for recorded in line.store.read_stream(stream))
    return [event for event in found if isinstance(event, ForeignSpendSuspected | TopUpSeen)]


def quoted(line: Line, count: int, prefix: str) -> str:
    """A batch of ``count`` quoted orders without funds."""
    return line.quoted(prepaid(count, prefix))


def states(line: Line, batch_id: str) -> list[OrderState]:
    """The orders' states in row order."""
    return [order.state for order in each_order(line.store, OrderSlice(batch_id))]


@pytest.fixture
def line(database: ApplicationDatabase, tmp_path: Path) -> Iterator[Line]:
    """A line whose orders end at once."""
    with line_of(database.writer_dsn, tmp_path, AT_ONCE) as made:
        yield made


@pytest.fixture
def poor(database: ApplicationDatabase, tmp_path: Path) -> Iterator[Line]:
    """A deposit of ten orders, whose saldo SAT shows as it was six seconds ago."""
    scenario = {
        "deposit_rupiah": 10 * PRICE,
        **AT_ONCE,
        "faults": [{"fault": "stale_saldo", "lag_seconds": 6.0}],
    }
    with line_of(database.writer_dsn, tmp_path, scenario) as made:
        yield made


def test_batches_that_reserve_at_once_never_take_more_than_there_is(database: ApplicationDatabase) -> None:
    """Eight threads, thirty batches, each tried by two of them, one saldo: the sum stays within it."""
    look = seen(1_000)
    with closing(Database(database.writer_dsn)) as opened:
        store = PostgresEventStore(opened)
        funds = PostgresFunds(opened)
        batches = [quoted_batch(store, f"batch {n}", [7, 11, 13, 17 + n]) for n in range(30)]
        work = iter([(batch, (PARTIAL, WAIT)[n % 2]) for n, batch in enumerate(batches)] * 2)
        taking = threading.Lock()

        def take(_: int) -> None:
            while True:
                with taking:
                    chosen = next(work, None)
                if chosen is None:
                    return
                reserve(funds, SystemClock(), chosen[0], look, chosen[1], BY_TEST, NO_LAG)

        at_once(8, take)
        reserved: list[FundsReserved] = []
        commitments = []
        for batch_id in batches:
            batch = store.load_batch(batch_id)
            assert batch is not None
            log = store.read_stream(StreamId(StreamKind.BATCH, batch_id))
            reserved += [r.event for r in log if isinstance(r.event, FundsReserved)]
            for order in each_order(store, OrderSlice(batch_id)):
                found = commitment_of(order, batch.reserved_up_to_row)
                commitments += [found] if found is not None else []
        total = sum(event.total_rupiah for event in reserved)
        assert total == sum(c.rupiah for c in commitments), "no order is reserved twice"
        assert available_rupiah(look, outstanding(commitments, look.includes_before(0.0))) >= 0
        assert 900 < total <= 1_000, "and nearly everything was given out"
        # One after the other: each found exactly what those before it had left.
        lefts = sorted((event.available_rupiah for event in reserved), reverse=True)
        assert lefts[0] == 1_000
        assert len(set(lefts)) == len(lefts)


def test_a_lagging_saldo_never_commits_money_twice(poor: Line) -> None:
    """SAT still shows the money that the first batch has spent; the formula knows better."""
    first, second = quoted(poor, 8, "A"), quoted(poor, 8, "B")
    poor.reserve(first, lag_seconds=6.5)
    poor.execute(first, reserve_first=False)
    poor.wait(first)
    assert poor.look().saldo_rupiah == 10 * PRICE, "the saldo is that of before"

    reservation = poor.reserve(second, lag_seconds=6.5)
    assert (reservation.orders, reservation.left_orders) == (2, 6)
    poor.execute(second, reserve_first=False)
    poor.wait(second)
    assert states(poor, second) == [OrderState.SUCCEEDED] * 2 + [OrderState.QUOTED] * 6
    assert poor.server.saldo_rupiah() == 0
    assert all(not entry["refused"] for entry in poor.server.ledger()["requests"].values())

    poor.server.top_up(6 * PRICE)
    time.sleep(6.6)
    assert not poor.reserve(second, WAIT, lag_seconds=6.5).is_short


def test_a_refund_counts_when_the_saldo_shows_it(database: ApplicationDatabase, tmp_path: Path) -> None:
    """Orders that failed have ended, their money is not back yet, so it is not available."""
    scenario = {
        "deposit_rupiah": 3 * PRICE,
        "faults": [
            {"fault": "fails", "after_seconds": 0.1},
            {"fault": "delayed_refund", "after_seconds": 5.0},
        ],
    }
    with line_of(database.writer_dsn, tmp_path, scenario) as line:
        first, second = quoted(line, 3, "A"), quoted(line, 3, "B")
        line.execute(first)
        line.wait(first)
        assert set(states(line, first)) == {OrderState.FAILED}
        reservation = line.reserve(second)
        assert (reservation.orders, reservation.available_rupiah) == (0, 0)
        line.server.wait_until(lambda ledger: ledger["deposit"]["now_rupiah"] == 3 * PRICE)
        assert not line.reserve(second).is_short
        assert movements(line) == [], "a late refund is no top-up"


def test_what_others_spend_is_detected_once_and_counted_on_no_more(line: Line) -> None:
    """A saldo below what our orders explain names the sum; the same saldo again says nothing new."""

    def look() -> MovementKind | None:
        movement = record_observation(line.funds, SystemClock(), line.look(), BY_TEST, NO_LAG)
        return movement.kind if movement else None

    batch_id = quoted(line, 3, "A")
    assert look() is None
    line.reserve(batch_id)
    line.execute(batch_id, reserve_first=False)
    assert look() is None, "orders under way explain less"
    line.wait(batch_id)
    assert look() is None
    line.server.spend_elsewhere(700_000)
    assert look() is MovementKind.FOREIGN_SPEND
    assert look() is None
    line.server.top_up(900_000)
    assert look() is MovementKind.TOP_UP
    assert look() is None

    spend, top_up = movements(line)
    assert isinstance(spend, ForeignSpendSuspected)
    assert spend.expected_rupiah - spend.found_rupiah == 700_000
    assert isinstance(top_up, TopUpSeen)
    assert top_up.found_rupiah - top_up.expected_rupiah == 900_000


def test_a_foreign_spend_under_our_reservation_stops_further_ones(
    database: ApplicationDatabase, tmp_path: Path
) -> None:
    """It cannot be prevented: what is available turns negative, and is said to."""
    with line_of(database.writer_dsn, tmp_path, {"deposit_rupiah": 4 * PRICE}) as line:
        first, second = quoted(line, 3, "A"), quoted(line, 1, "B")
        line.reserve(first)
        line.server.spend_elsewhere(2 * PRICE)
        reservation = line.reserve(second)
        assert (reservation.orders, reservation.available_rupiah) == (0, -PRICE)
        (event,) = movements(line)
        assert isinstance(event, ForeignSpendSuspected)


def test_without_a_reservation_nothing_is_sent_visibly(line: Line) -> None:
    """The step fails with its reason, and SAT never hears of the batch."""
    batch_id = quoted(line, 3, "A")
    with pytest.raises(NotReservedError, match="no funds are reserved"):
        line.execute(batch_id, reserve_first=False)
    assert line.server.ledger()["requests"] == {}


def test_a_held_order_is_not_sent_on_the_strength_of_old_funds(line: Line) -> None:
    """Held and released between reservation and sending: it stays, the others go; reserved again, it goes."""
    batch_id = quoted(line, 3, "A")
    line.reserve(batch_id)
    order = line.orders(batch_id)["A-0002"]
    for command in (Hold(HoldReason.LIMIT, "limit"), Release("fine")):
        line.handler.apply([OrderCommandRequest(order.request_id, command)], BY_TEST)
    line.execute(batch_id, reserve_first=False)
    line.wait(batch_id)
    assert states(line, batch_id) == [OrderState.SUCCEEDED, OrderState.QUOTED, OrderState.SUCCEEDED]
    line.execute(batch_id)
    line.wait(batch_id)
    assert set(states(line, batch_id)) == {OrderState.SUCCEEDED}


def test_what_a_deposit_lacks_and_what_is_unsent_can_be_read(
    line: Line, database: ApplicationDatabase
) -> None:
    """By the reader's role, for people who wait: the missing rupiah, and the orders by batch."""
    line.server.spend_elsewhere(line.server.saldo_rupiah() - PRICE)
    batch_id = quoted(line, 3, "S")
    with closing(Database(database.reader_dsn)) as reading:
        funds, store = PostgresFunds(reading), PostgresEventStore(reading)
        assert missing_for(funds, store, batch_id, NO_LAG) is None
        short = line.reserve(batch_id, WAIT)
        assert missing_for(funds, store, batch_id, NO_LAG) == 2 * PRICE
        assert store.unsent_of_account(ACCOUNT) == [(batch_id, "orders.csv", 3)]
        assert store.unsent_of_account("other") == []
    assert shortage(short).endswith(f"so Rp {2 * PRICE:,} are missing")
