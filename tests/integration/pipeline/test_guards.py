"""The guards on a real database: across batches, at the same moment, and with people deciding."""

from __future__ import annotations

import csv
import io
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import psycopg2
import pytest

from sat_hook.commands.errors import OverrideRefusedError
from sat_hook.commands.handler import CommandHandler, OrderCommandRequest
from sat_hook.domain.batch import BatchState
from sat_hook.domain.business_day import business_day
from sat_hook.domain.event_record import Provenance, StreamId, StreamKind
from sat_hook.domain.guards import GuardRules, Usage, batch_scope, day_scope
from sat_hook.domain.order import Order, OrderState
from sat_hook.domain.order_commands import Hold, Reject, Withdraw
from sat_hook.domain.order_events import HoldReason, RejectionReason
from sat_hook.pipeline.errors import OrderNotFoundError
from sat_hook.pipeline.guards import guard_batch
from sat_hook.pipeline.held_orders import HeldDecision, decide_held_batch, decide_held_order, hold_reason
from sat_hook.pipeline.results import complete
from sat_hook.store.database import Database
from sat_hook.store.guards import EVERY_DAY, GuardLedger, PostgresGuardLedger
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.store.statements import queries, run
from sat_hook.testing.event_store import MemoryEventStore
from sat_hook.testing.guards import MemoryGuardLedger
from stack.databases import ApplicationDatabase
from tests.account_rules import confirmed_rules
from tests.orders import ACCOUNT, BY_TEST, T0, ManualClock
from tests.pipeline import Line
from tests.quoted_batches import Row, orders_of, quoted_batch

BY_OPS = Provenance("user:ops", "plugin:release")
EXAMPLES = Path(__file__).parents[3] / "examples"
DUPLICATE, LIMIT = HoldReason.BUSINESS_DUPLICATE.value, HoldReason.LIMIT.value


class Guarded:
    """A store with its guards and a clock of its own."""

    def __init__(self, handler: CommandHandler, ledger: GuardLedger, clock: ManualClock) -> None:
        self.handler = handler
        self.ledger = ledger
        self.clock = clock

    def batch(self, reference: str, *rows: Row) -> str:
        """A quoted batch."""
        return quoted_batch(self.handler, reference, rows)

    def guard(self, batch_id: str, **rules: int | None) -> list[str]:
        """Guard it; returns how each order stands, by row."""
        guard_batch(self.handler, self.ledger, batch_id, GuardRules(**rules), BY_TEST)  # type: ignore[arg-type]
        return self.standing(batch_id)

    def standing(self, batch_id: str) -> list[str]:
        """``admitted``, the reason for which it is held, or the state; by row."""
        return [_standing(order) for order in orders_of(self.handler, batch_id)]


def _standing(order: Order) -> str:
    if order.state is OrderState.QUOTED:
        return "admitted" if order.admitted_at is not None else "quoted"
    return order.reason_code or "" if order.state is OrderState.HELD else order.state.value


@pytest.fixture
def store(database: ApplicationDatabase) -> Iterator[PostgresEventStore]:
    """The event store of a database of its own."""
    with closing(Database(database.writer_dsn, "tests")) as opened:
        yield PostgresEventStore(opened)


@pytest.fixture(params=["postgres", "memory"])
def guarded(request: pytest.FixtureRequest) -> Guarded:
    """Both ledgers keep the same rules."""
    clock = ManualClock()
    if request.param == "memory":
        memory = MemoryEventStore(clock)
        return Guarded(CommandHandler(memory, clock), MemoryGuardLedger(memory), clock)
    postgres: PostgresEventStore = request.getfixturevalue("store")
    return Guarded(CommandHandler(postgres, clock), PostgresGuardLedger(postgres.database), clock)


def numbers(count: int, price: int = 10_000) -> list[Row]:
    """Rows for so many different clients."""
    return [Row(f"0812{number:08d}", price) for number in range(count)]


def test_the_second_and_later_rows_of_one_batch_are_held(guarded: Guarded) -> None:
    """The first goes through; the others name it."""
    batch_id = guarded.batch("a", Row(), Row("081211000002"), Row(), Row())
    assert guarded.guard(batch_id) == ["admitted", "admitted", DUPLICATE, DUPLICATE]
    held = orders_of(guarded.handler, batch_id)[2]
    assert "'a-2'" in (held.reason_detail or "")


def test_a_duplicate_of_another_batch_is_held_until_the_days_are_over(guarded: Guarded) -> None:
    """Across batches of the account, for as long as the parameter says; another account is not asked."""
    assert guarded.guard(guarded.batch("a", Row())) == ["admitted"]
    guarded.clock.advance(timedelta(days=6, hours=23).total_seconds())
    assert guarded.guard(guarded.batch("b", Row())) == [DUPLICATE]
    other = quoted_batch(guarded.handler, "b", [Row()], account="another")
    assert guarded.guard(other) == ["admitted"]
    guarded.clock.advance(timedelta(hours=2).total_seconds())
    assert guarded.guard(guarded.batch("c", Row())) == ["admitted"]
    # A run can only be stricter; two people can turn the guard off.
    assert guarded.guard(guarded.batch("d", Row()), duplicate_days=0) == [DUPLICATE]
    confirmed_rules(guarded.handler, ACCOUNT, duplicate_days=0)
    assert guarded.guard(guarded.batch("e", Row()), duplicate_days=0) == ["admitted"]
    assert guarded.guard(guarded.batch("f", Row()), duplicate_days=7) == [DUPLICATE]


def test_guarding_again_changes_nothing(guarded: Guarded) -> None:
    """A retry, a second run, the same day: not one event more."""
    batch_id = guarded.batch("a", *numbers(3), Row("081200000000", 10_000))
    guarded.guard(batch_id, day_limit_orders=3)
    position = guarded.handler.store.close_position()
    assert guarded.guard(batch_id, day_limit_orders=3) == ["admitted"] * 3 + [DUPLICATE]
    assert guarded.handler.store.close_position() == position


def test_limits_hold_what_does_not_fit_in_row_order(guarded: Guarded) -> None:
    """Per order, per batch and per day; a smaller row further down may still fit."""
    rows = [Row(f"0812{n:08d}", price) for n, price in enumerate((40_000, 90_000, 50_000, 10_000))]
    assert guarded.guard(guarded.batch("a", *rows), order_limit_rupiah=50_000, batch_limit_rupiah=60_000) == [
        "admitted",
        LIMIT,
        LIMIT,
        "admitted",
    ]


def test_the_day_limit_spans_batches_and_ends_at_midnight_in_jakarta(guarded: Guarded) -> None:
    """T0 is 10:00 WIB: fourteen hours later it is another business day."""
    assert guarded.guard(guarded.batch("a", *numbers(2)), day_limit_rupiah=30_000) == ["admitted"] * 2
    second = [Row("081300000001", 10_000), Row("081300000002", 10_000)]
    assert guarded.guard(guarded.batch("b", *second), day_limit_rupiah=30_000) == ["admitted", LIMIT]
    guarded.clock.advance(timedelta(hours=14).total_seconds())
    third = [Row("081400000001", 10_000), Row("081400000002", 10_000)]
    assert guarded.guard(guarded.batch("c", *third), day_limit_rupiah=20_000) == ["admitted"] * 2


def test_what_never_cost_money_gives_its_place_back(guarded: Guarded) -> None:
    """A rejected order neither blocks its twin nor uses the day."""
    first = guarded.batch("a", Row())
    guarded.guard(first)
    [order] = orders_of(guarded.handler, first)
    rejection = Reject(RejectionReason.INQUIRY_REFUSED, "")
    guarded.handler.apply([OrderCommandRequest(order.request_id, rejection)], BY_TEST)
    assert guarded.guard(guarded.batch("b", Row()), day_limit_orders=1) == ["admitted"]


def test_a_released_order_goes_through_and_keeps_its_override(guarded: Guarded) -> None:
    """Release, guard again: what held it does not hold it again; other guards still may."""
    guarded.guard(guarded.batch("a", Row()))
    batch_id = guarded.batch("b", Row())
    guarded.guard(batch_id)
    [order] = orders_of(guarded.handler, batch_id)
    released = decide_held_order(
        guarded.handler, order.request_id, HeldDecision.RELEASE, "two phones, two top-ups", BY_OPS
    )
    assert (released.state, released.admitted_at) == (OrderState.QUOTED, None)
    assert guarded.guard(batch_id, order_limit_rupiah=1) == [LIMIT]
    decide_held_order(guarded.handler, order.request_id, HeldDecision.RELEASE, "the limit, too", BY_OPS)
    assert guarded.guard(batch_id, order_limit_rupiah=1) == ["admitted"]
    events = guarded.handler.store.read_stream(StreamId(StreamKind.ORDER, order.request_id))
    assert [e.provenance.actor for e in events if e.type_name == "OrderReleased"] == ["user:ops"] * 2


def test_a_released_price_is_accepted(guarded: Guarded) -> None:
    """Held because it became dearer, released: the price that was found is the quote from now on."""
    batch_id = guarded.batch("a", Row())
    guarded.guard(batch_id)
    [order] = orders_of(guarded.handler, batch_id)
    hold = Hold(HoldReason.PRICE_ABOVE_QUOTE, "dearer", 55_000)
    guarded.handler.apply([OrderCommandRequest(order.request_id, hold)], BY_TEST)
    decide_held_order(guarded.handler, order.request_id, HeldDecision.RELEASE, "accepted", BY_OPS)
    assert guarded.guard(batch_id) == ["admitted"]
    [order] = orders_of(guarded.handler, batch_id)
    assert order.quote_rupiah == 55_000


def test_a_whole_batch_is_released_or_cancelled_by_reason(guarded: Guarded) -> None:
    """Only what is held for that reason; the rest stays held."""
    batch_id = guarded.batch("a", Row(), Row(), Row("081211000009", 90_000))
    guarded.guard(batch_id, order_limit_rupiah=60_000)
    report = decide_held_batch(
        guarded.handler, batch_id, HeldDecision.RELEASE, "checked", BY_OPS, HoldReason.BUSINESS_DUPLICATE
    )
    assert (report.decided, report.still_held) == (1, 1)
    assert guarded.standing(batch_id) == ["admitted", "quoted", LIMIT]
    report = decide_held_batch(guarded.handler, batch_id, HeldDecision.CANCEL, "too dear", BY_OPS)
    assert (report.decided, report.still_held) == (1, 0)
    assert guarded.standing(batch_id)[2] == "cancelled"


def test_a_completed_batch_is_taken_in_hand_again_by_a_release(guarded: Guarded) -> None:
    """It was complete with a held order; released, it has something to send, and is completed again."""
    guarded.guard(guarded.batch("a", Row()))
    batch_id = guarded.batch("b", Row())
    guarded.guard(batch_id)
    assert complete(guarded.handler, batch_id, BY_TEST).batch.state is BatchState.COMPLETED
    decide_held_batch(guarded.handler, batch_id, HeldDecision.RELEASE, "checked", BY_OPS)
    batch = guarded.handler.store.load_batch(batch_id)
    assert batch is not None
    assert batch.state is BatchState.QUOTED
    assert guarded.guard(batch_id) == ["admitted"]


def test_decisions_that_are_not_possible_say_why(guarded: Guarded) -> None:
    """No such order, none that is held, no reason, no such reason to be held for."""
    batch_id = guarded.batch("a", Row())
    guarded.guard(batch_id)
    [order] = orders_of(guarded.handler, batch_id)
    with pytest.raises(OverrideRefusedError, match="found quoted; expected a held order"):
        decide_held_order(guarded.handler, order.request_id, HeldDecision.RELEASE, "why not", BY_OPS)
    with pytest.raises(OverrideRefusedError, match="found 1 characters"):
        decide_held_order(guarded.handler, order.request_id, HeldDecision.RELEASE, "x", BY_OPS)
    with pytest.raises(OrderNotFoundError):
        decide_held_order(guarded.handler, "S" + "A" * 31, HeldDecision.CANCEL, "gone", BY_OPS)
    with pytest.raises(OverrideRefusedError, match="found no order held"):
        decide_held_batch(guarded.handler, batch_id, HeldDecision.CANCEL, "gone", BY_OPS)
    with pytest.raises(OverrideRefusedError, match="expected one of price_above_quote"):
        hold_reason("fun")


def test_more_rows_than_a_group_are_ruled_as_one_batch(guarded: Guarded) -> None:
    """Groups end where the lock is given back; the limit and the twins reach across."""
    batch_id = guarded.batch("a", *numbers(600, 1_000), *numbers(600, 1_000))
    standing = guarded.guard(batch_id, batch_limit_orders=590)
    assert standing[:590] == ["admitted"] * 590
    assert set(standing[590:600]) == {LIMIT}
    assert standing[600:1190] == [DUPLICATE] * 590
    assert set(standing[1190:]) == {LIMIT}


def at_once(store: PostgresEventStore, clock: ManualClock, ids: list[str], rules: GuardRules) -> None:
    """Guard several batches at the same moment, each from a thread of its own."""
    gate = threading.Barrier(len(ids))

    def guard(batch_id: str) -> None:
        gate.wait()
        ledger = PostgresGuardLedger(store.database)
        guard_batch(CommandHandler(store, clock), ledger, batch_id, rules, BY_TEST)

    with ThreadPoolExecutor(len(ids)) as pool:
        for future in [pool.submit(guard, batch_id) for batch_id in ids]:
            future.result(60)


@pytest.mark.parametrize("attempt", range(5))
def test_of_batches_guarded_at_the_same_moment_one_gets_each_twin(
    store: PostgresEventStore, attempt: int
) -> None:
    """Forty twins in each of four batches: every one is let through exactly once."""
    clock = ManualClock()
    handler = CommandHandler(store, clock)
    ids = [quoted_batch(handler, f"{attempt}-{name}", numbers(40)) for name in range(4)]
    at_once(store, clock, ids, GuardRules())
    standings = [[_standing(order) for order in orders_of(handler, batch_id)] for batch_id in ids]
    for row in zip(*standings, strict=True):
        assert sorted(row) == ["admitted", DUPLICATE, DUPLICATE, DUPLICATE]


def test_the_use_of_limits_is_that_of_the_orders_that_count(
    store: PostgresEventStore, database: ApplicationDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It follows admissions, a failure and a new day, and stays one number when its rows are put together."""
    monkeypatch.setattr("sat_hook.store.guards.ROWS_OF_A_SCOPE", 1)
    clock = ManualClock()
    guarded = Guarded(CommandHandler(store, clock), PostgresGuardLedger(store.database), clock)
    first = guarded.batch("a", *numbers(3, 10_000))
    guarded.guard(first, day_limit_orders=100, batch_limit_orders=100)
    second = guarded.batch("b", *[Row(f"0813{n:08d}", 20_000) for n in range(2)])
    guarded.guard(second, day_limit_orders=100, batch_limit_orders=100)
    today, tomorrow = business_day(T0), business_day(T0 + timedelta(days=1))

    def used() -> list[Usage]:
        with guarded.ledger.locked("demo") as account:
            return [
                account.used_on(today),
                account.used_on(tomorrow),
                account.used_by_batch(first, []),
                account.used_by_batch(second, [orders_of(guarded.handler, second)[0].request_id]),
            ]

    assert used() == [Usage(5, 70_000), Usage(), Usage(3, 30_000), Usage(1, 20_000)]
    clock.advance(86_400)
    guarded.guard(second, day_limit_orders=100, batch_limit_orders=100)
    assert used() == [Usage(3, 30_000), Usage(2, 40_000), Usage(3, 30_000), Usage(1, 20_000)]
    withdrawn = orders_of(guarded.handler, first)[0].request_id
    withdraw = OrderCommandRequest(withdrawn, Withdraw("not needed"))
    assert guarded.handler.apply([withdraw], BY_OPS)[withdrawn].is_accepted
    assert used() == [Usage(2, 20_000), Usage(2, 40_000), Usage(2, 20_000), Usage(1, 20_000)]
    assert used() == used()
    rows = run(
        store.database, queries("guards").usage, account="demo", scopes=[batch_scope(first)], without=[]
    )
    assert rows == (2, 20_000, 1)


@pytest.mark.parametrize("attempt", range(5))
def test_batches_guarded_at_the_same_moment_keep_the_day_limit_together(
    store: PostgresEventStore, attempt: int
) -> None:
    """Four batches of forty, room for fifty: fifty are admitted, from any of the batches."""
    clock = ManualClock()
    handler = CommandHandler(store, clock)
    ids = [
        quoted_batch(handler, f"{attempt}-{name}", [Row(f"081{name}{n:08d}", 10_000) for n in range(40)])
        for name in range(4)
    ]
    at_once(store, clock, ids, GuardRules(day_limit_rupiah=500_000))
    standings = [_standing(order) for batch_id in ids for order in orders_of(handler, batch_id)]
    assert standings.count("admitted") == 50
    assert standings.count(LIMIT) == 110


def test_two_runs_of_one_batch_at_the_same_moment_rule_once(store: PostgresEventStore) -> None:
    """The DAG twice at once: every order has one ruling."""
    clock = ManualClock()
    handler = CommandHandler(store, clock)
    batch_id = quoted_batch(handler, "a", numbers(50) + numbers(50))
    at_once(store, clock, [batch_id] * 4, GuardRules())
    for order in orders_of(handler, batch_id):
        events = store.read_stream(StreamId(StreamKind.ORDER, order.request_id))
        rulings = [e.type_name for e in events if e.type_name in ("OrderAdmitted", "OrderHeld")]
        assert len(rulings) == 1


def test_a_guard_that_is_killed_inside_its_lock_leaves_nothing(store: PostgresEventStore) -> None:
    """Read, ruling and append are one transaction: whatever ends it, the next try starts from before."""
    clock = ManualClock()
    handler = CommandHandler(store, clock)
    batch_id = quoted_batch(handler, "a", [Row()])
    before = store.close_position()
    ledger = PostgresGuardLedger(store.database)
    [order] = orders_of(handler, batch_id)
    hold = OrderCommandRequest(order.request_id, Hold(HoldReason.LIMIT, "never committed"))

    def rule_and_die() -> None:
        with ledger.locked("demo") as account:
            assert CommandHandler(account.store, clock).apply([hold], BY_TEST)[order.request_id].is_accepted
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        rule_and_die()
    assert store.close_position() == before
    guard_batch(handler, ledger, batch_id, GuardRules(), BY_TEST)
    assert [_standing(order) for order in orders_of(handler, batch_id)] == ["admitted"]


def test_the_guards_look_orders_up_by_index(store: PostgresEventStore, database: ApplicationDatabase) -> None:
    """Among twenty thousand orders neither the twins nor the day are found by reading all of them."""
    with closing(psycopg2.connect(database.owner_dsn)) as connection, connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO sat.orders (
                request_id, version, state, account, order_id, batch_id, row_number, product_code,
                client_number, payload_digest, quote_rupiah, charged_rupiah, committed_rupiah, is_reservable,
                counted_at
            )
            SELECT 'S' || n, 4, 'succeeded', 'demo', 'o' || n, 'B' || n / 500, n % 500, '50k-simpati',
                '0812' || n % 15000, '', 52000, 52000, 52000, false,
                timestamptz '2026-10-01Z' + n * interval '2 minutes'
            FROM generate_series(1, 20000) AS n
            """
        )
        cursor.execute("ANALYZE sat.orders")
        connection.commit()
        guards = queries("guards")
        kin = {
            "account": "demo",
            "product_codes": ["50k-simpati"] * 20,
            "client_numbers": [f"0812{n}" for n in range(20)],
            "since": T0 - timedelta(days=7),
        }
        cursor.execute(
            """
            INSERT INTO sat.limit_usage
            SELECT 'demo', 'batch/B' || n, 500, 26000000 FROM generate_series(1, 2000) AS n
            """
        )
        cursor.execute("ANALYZE sat.limit_usage")
        connection.commit()
        day = {"account": "demo", "scopes": [day_scope(business_day(T0)), EVERY_DAY], "without": []}
        plans = {
            "orders_same_business": _plan(cursor, guards.kin.sql, kin),
            "limit_usage_scope": _plan(cursor, guards.usage.sql, day),
        }
    for index, plan in plans.items():
        assert index in plan, plan
        assert "Seq Scan" not in plan


def _plan(cursor: psycopg2.extensions.cursor, query: str, values: dict[str, object]) -> str:
    cursor.execute("EXPLAIN " + query, values)
    return "\n".join(row[0] for row in cursor.fetchall())


def test_the_examples_hold_no_duplicates(line: Line) -> None:
    """The committed example goes through the guards whole: no row of it is paid twice on purpose."""
    batch_id = line.quoted((EXAMPLES / "orders.csv").read_bytes())
    ledger = PostgresGuardLedger(line.store.database)
    report = guard_batch(line.handler, ledger, batch_id, GuardRules(), BY_TEST)
    assert (report.tally.held_as_duplicates, report.tally.held_over_limits) == (0, 0)
    expected = list(csv.DictReader(io.StringIO((EXAMPLES / "expected.csv").read_text())))
    going_out = sum(row["expected_state"] in ("succeeded", "failed") for row in expected)
    assert report.tally.admitted == going_out
    events = line.store.read_stream(StreamId(StreamKind.BATCH, batch_id))
    [data] = [json.loads(e.data) for e in events if e.type_name == "BatchGuarded"]
    assert data["tally"]["admitted"] == going_out
