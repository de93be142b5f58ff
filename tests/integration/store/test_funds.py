"""One suite for both stores of funds: what is outstanding, what is without funds, and what was seen."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg2
import psycopg2.errors
import pytest

from sat_hook.audit.rebuild import compare_projections, rebuild_projections
from sat_hook.domain.batch import Batch, evolve_batch
from sat_hook.domain.batch_events import FundsReserved, ShortFundsPolicy
from sat_hook.domain.event_record import Event, StreamId, StreamKind
from sat_hook.domain.funds import BalanceObservation, commitment_of, may_come_back_rupiah, outstanding
from sat_hook.domain.order import Order
from sat_hook.domain.order_decisions import ORDER_DECIDER
from sat_hook.domain.order_events import OrderReceived
from sat_hook.store.database import Database
from sat_hook.store.errors import StoreUnavailableError
from sat_hook.store.event_store import Change, EventStore
from sat_hook.store.funds import FundsStore, PostgresFunds
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.store.statements import queries
from sat_hook.testing.event_store import MemoryEventStore
from sat_hook.testing.funds import MemoryFunds
from stack.databases import ApplicationDatabase
from tests.deposits import order_of, quoted_batch, seen
from tests.orders import ACCOUNT, BATCH, BY_TEST, T0, ManualClock, received, stream_of, submitted
from tests.sql import execute
from tests.unit.domain.situations import HISTORIES

OTHER = "other"
History = tuple[Order, tuple[Event, ...], datetime]


@dataclass
class Both:
    """A store of events and the store of funds beside it."""

    events: EventStore
    funds: FundsStore


@pytest.fixture(params=["memory", "postgres"])
def both(request: pytest.FixtureRequest) -> Iterator[Both]:
    """Each pair in turn."""
    if request.param == "memory":
        memory = MemoryEventStore(ManualClock())
        yield Both(memory, MemoryFunds(memory))
        return
    copy: ApplicationDatabase = request.getfixturevalue("database")
    with closing(Database(copy.writer_dsn)) as opened:
        yield Both(PostgresEventStore(opened), PostgresFunds(opened))


def test_a_look_from_the_future_outranks_no_true_one(database: ApplicationDatabase) -> None:
    """A worker whose clock is an hour ahead: its old saldo would be promised a second time until then."""
    now = datetime.now(UTC)
    ahead = BalanceObservation(ACCOUNT, 10_000_000, now + timedelta(hours=1), now + timedelta(hours=1))
    with closing(Database(database.writer_dsn)) as opened, PostgresFunds(opened).locked(ACCOUNT) as account:
        account.record(ahead, is_compared=False)
        assert account.last_observation() == ahead
        true = BalanceObservation(ACCOUNT, 5_000_000, now, now)
        account.record(true, is_compared=False)
        assert account.last_observation() == true


def reserve_up_to(events: EventStore, batch_id: str, row: int) -> Batch:
    """Append a reservation, as if enough had been there."""
    batch = events.load_batch(batch_id)
    assert batch is not None
    event = FundsReserved(
        up_to_row=row,
        orders=1,
        renewed=0,
        total_rupiah=1,
        saldo_rupiah=1,
        observed_at=T0,
        included_before=T0,
        available_rupiah=1,
        policy=ShortFundsPolicy.PARTIAL,
        left_orders=0,
        left_rupiah=0,
    )
    after = evolve_batch(batch, batch_id, event)
    stream = StreamId(StreamKind.BATCH, batch_id)
    assert not events.append([Change(stream, batch.version, (event,), after)], BY_TEST, T0)
    return after


def orders_of_every_history(chance: random.Random, copies: int) -> list[History]:
    """Orders in every situation, whose events happened at moments between T0 and 100 seconds later."""
    made: list[History] = []
    histories = [events for events in HISTORIES.values() if events] * copies
    for number, events in enumerate(histories, start=1):
        first = received(number)
        key = stream_of(number).key
        moment = T0 + timedelta(seconds=chance.uniform(0, 100))
        own = tuple(_under_the_id_of(first, event) for event in events)
        order = ORDER_DECIDER.fold(key, ((event, moment) for event in own))
        assert order is not None
        made.append((order, own, moment))
    return made


def _under_the_id_of(first: OrderReceived, event: Event) -> Event:
    """An order that is received again keeps its id and its row here, so that histories stay apart."""
    if not isinstance(event, OrderReceived):
        return event
    return event.model_copy(update={"order_id": first.order_id, "row_number": first.row_number})


@pytest.mark.parametrize("up_to_row", [0, 20, 1000])
def test_every_store_counts_as_the_formula_does(both: Both, up_to_row: int) -> None:
    """Orders of every situation: the sums are those of the pure functions, for any moment."""
    chance = random.Random(5)
    both.events.append([submitted()], BY_TEST, T0)
    orders: list[Order] = []
    for order, events, moment in orders_of_every_history(chance, 2):
        change = Change.of_order(order.request_id, None, events, moment)
        assert not both.events.append([change], BY_TEST, moment)
        orders.append(order)
    if up_to_row:
        reserve_up_to(both.events, BATCH, up_to_row)
    commitments = [found for order in orders if (found := commitment_of(order, up_to_row)) is not None]
    with both.funds.looking(ACCOUNT) as account:
        for seconds in (-10, 0, 25, 50, 75, 110):
            moment = T0 + timedelta(seconds=seconds)
            expected = outstanding(commitments, moment)
            assert account.outstanding(moment) == expected
            assert expected.reserved_rupiah > 0 or not up_to_row
            back = sum(may_come_back_rupiah(order, moment) for order in orders)
            assert account.may_come_back_rupiah(moment) == back
    with both.funds.looking(OTHER) as account:
        assert account.outstanding(T0).total_rupiah == 0
        assert account.may_come_back_rupiah(T0) == 0


def test_orders_without_funds_are_listed_by_row(both: Both) -> None:
    """Beyond the reserved rows, or within them and in need of another reservation; nothing else."""
    batch_id = quoted_batch(both.events, "a", [10, 20, 30, 40])
    other = quoted_batch(both.events, "b", [50])
    reserve_up_to(both.events, batch_id, 3)
    with both.funds.looking(ACCOUNT) as account:
        assert [(o.row_number, o.quote_rupiah, o.must_be_renewed) for o in account.unreserved(batch_id)] == [
            (4, 30, False),
            (5, 40, False),
        ]
        assert [o.request_id for o in account.unreserved(other)] == [order_of("b", 2)]
        assert account.outstanding(T0).reserved_rupiah == 30


def test_looks_come_back_as_they_were_recorded(both: Both) -> None:
    """The newest by the moment it was asked for, and the last link of the chain of compared ones."""
    late = BalanceObservation(ACCOUNT, 90, T0 + timedelta(seconds=9), T0 + timedelta(seconds=10), "a" * 64)
    with both.funds.locked(ACCOUNT) as account:
        assert account.last_observation() is None
        assert account.last_compared() is None
        account.record(late, is_compared=False)
        account.record(seen(70, T0), is_compared=True)
        account.record(seen(50, T0, account=OTHER), is_compared=True)
    with both.funds.looking(ACCOUNT) as account:
        assert account.last_observation() == late
        assert account.last_compared() == seen(70, T0)


def test_of_looks_that_began_together_the_one_recorded_last_counts(both: Both) -> None:
    """Both stores break the tie alike."""
    with both.funds.locked(ACCOUNT) as account:
        account.record(seen(70, T0), is_compared=False)
        account.record(seen(60, T0), is_compared=False)
        assert account.last_observation() == seen(60, T0)


def test_what_is_appended_under_the_lock_is_there_with_the_rest(both: Both) -> None:
    """The store inside the block reads what it has just written."""
    batch_id = quoted_batch(both.events, "a", [10])
    with both.funds.locked(ACCOUNT) as account:
        reserve_up_to(account.store, batch_id, 2)
        assert account.outstanding(T0).reserved_rupiah == 10
    loaded = both.events.load_batch(batch_id)
    assert loaded is not None
    assert loaded.reserved_up_to_row == 2


# Of PostgreSQL alone.


def test_an_error_under_the_lock_takes_everything_back(database: ApplicationDatabase) -> None:
    """Look, renewal and reservation commit together or not at all; the lock goes with them."""
    with closing(Database(database.writer_dsn)) as opened:
        events, funds = PostgresEventStore(opened), PostgresFunds(opened)
        batch_id = quoted_batch(events, "a", [10])
        with suppress(KeyError), funds.locked(ACCOUNT) as account:
            account.record(seen(70), is_compared=True)
            reserve_up_to(account.store, batch_id, 2)
            raise KeyError
        with funds.locked(ACCOUNT) as account:
            assert account.last_observation() is None
        batch = events.load_batch(batch_id)
        assert batch is not None
        assert batch.reserved_up_to_row == 0


def test_the_lock_is_the_accounts_own(database: ApplicationDatabase) -> None:
    """Another holder's lock on the account makes us wait; another account's does not."""
    with closing(Database(database.writer_dsn)) as opened, closing(Database(database.writer_dsn)) as second:
        with PostgresFunds(opened).locked(ACCOUNT), PostgresFunds(second).locked(OTHER):
            pass
        with PostgresFunds(opened).locked(ACCOUNT), second.transaction() as connection:
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '50ms'")
            with pytest.raises(psycopg2.errors.LockNotAvailable), connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_advisory_xact_lock(sat.funds_lock_class(), hashtext(%s))", (ACCOUNT,)
                )
            connection.rollback()


def test_looks_are_evidence(database: ApplicationDatabase) -> None:
    """An observation never changes: the writer has no privilege, the owner meets the trigger."""
    with closing(Database(database.writer_dsn)) as opened, PostgresFunds(opened).locked(ACCOUNT) as account:
        account.record(seen(70), is_compared=True)
    for dsn, refusal in (
        (database.writer_dsn, psycopg2.errors.InsufficientPrivilege),
        (database.owner_dsn, psycopg2.errors.RestrictViolation),
    ):
        for statement in (
            "UPDATE sat.balance_observations SET saldo_rupiah = 0",
            "DELETE FROM sat.balance_observations",
        ):
            with pytest.raises(refusal):
                execute(dsn, statement)
    assert execute(database.reader_dsn, "SELECT saldo_rupiah FROM sat.balance_observations") == [(70,)]


def test_a_rebuild_gives_the_same_reservations(database: ApplicationDatabase) -> None:
    """What is reserved and what is debited are folds of events, columns included."""
    with closing(Database(database.writer_dsn)) as opened, closing(Database(database.owner_dsn)) as owner:
        events, funds = PostgresEventStore(opened), PostgresFunds(opened)
        batch_id = quoted_batch(events, "a", [10, 20])
        reserve_up_to(events, batch_id, 2)
        with funds.looking(ACCOUNT) as account:
            before = account.outstanding(T0)
        rebuild_projections(owner)
        with funds.looking(ACCOUNT) as account:
            assert account.outstanding(T0) == before
        assert compare_projections(owner, print).is_clean


@pytest.fixture
def crowded(database: ApplicationDatabase) -> ApplicationDatabase:
    """Forty thousand orders long since paid, and one batch in the middle of its way."""
    with closing(Database(database.writer_dsn)) as opened:
        events = PostgresEventStore(opened)
        batch_id = quoted_batch(events, "a", [10] * 200)
        reserve_up_to(events, batch_id, 100)
    with closing(psycopg2.connect(database.owner_dsn)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO sat.orders"
            " SELECT old.* FROM sat.orders AS o CROSS JOIN generate_series(1, 40000) AS n"
            " CROSS JOIN LATERAL jsonb_populate_record(o, jsonb_build_object('request_id', 'S' || n,"
            " 'order_id', 'old-' || n, 'batch_id', 'B' || n / 1000, 'committed_rupiah', 10,"
            " 'state', CASE WHEN n %% 50 = 0 THEN 'failed' ELSE 'succeeded' END, 'is_reservable', false,"
            " 'outstanding_until', %(proven)s, 'refundable_until', CASE WHEN n %% 50 = 0 THEN %(proven)s END"
            " )) AS old WHERE o.request_id = %(like)s",
            {"like": order_of("a", 2), "proven": "2026-10-01T00:00:00Z"},
        )
        connection.commit()
        connection.autocommit = True
        cursor.execute("ANALYZE sat.orders, sat.batches")
    return database


def test_a_look_at_funds_never_reads_the_whole_history(crowded: ApplicationDatabase) -> None:
    """The planner takes the indexes that only hold what is open or recent."""
    moment: datetime = T0 - timedelta(seconds=30)
    arguments = {"account": ACCOUNT, "included_before": moment, "since": moment, "batch_id": BATCH}
    with closing(psycopg2.connect(crowded.writer_dsn)) as connection, connection.cursor() as cursor:
        for statement in ("outstanding", "may_come_back", "unreserved"):
            cursor.execute(f"EXPLAIN {getattr(queries('funds'), statement).sql}", arguments)
            plan = "\n".join(row[0] for row in cursor.fetchall())
            assert "Seq Scan on orders" not in plan, plan


def test_a_database_that_is_away_is_named_as_such(database: ApplicationDatabase) -> None:
    """Nothing is known then, and nothing reserved."""
    gone = Database(database.writer_dsn.replace("sat_writer", "sat_nobody"))
    with pytest.raises(StoreUnavailableError), PostgresFunds(gone).locked(ACCOUNT):
        pass
