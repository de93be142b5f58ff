"""The ledger says what the domain's own fold says, for every history of an order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pandas as pd
import pytest

from sat_hook.domain.event_record import StreamId, StreamKind
from sat_hook.domain.identity import request_id_of
from sat_hook.domain.order import Order, OrderState, evolve
from sat_hook.reconciliation.ledger import Ledger, Span, ledger_of, read_ledger
from sat_hook.store.database import Database
from sat_hook.store.days import DayReader, RefoldedDayReader
from sat_hook.store.event_store import Change
from sat_hook.store.postgres import PostgresEventStore
from stack.databases import ApplicationDatabase
from tests.orders import ACCOUNT, BY_TEST, T0
from tests.unit.domain.situations import HISTORIES

LIVES = {name: events for name, events in HISTORIES.items() if events}
SECOND = timedelta(seconds=1)
SPAN = Span(T0, T0 + timedelta(days=1), T0, T0 + timedelta(days=1), position=10**9, before=0)


@pytest.fixture(scope="module")
def store(module_database: ApplicationDatabase) -> Iterator[PostgresEventStore]:
    """A log in which every history has happened to an order of its own, a second between its events."""
    store = PostgresEventStore(Database(module_database.writer_dsn, "tests"))
    with closing(store.database):
        for name, events in LIVES.items():
            key, order = request_id_of(ACCOUNT, name), None
            for place, event in enumerate(events):
                if hasattr(event, "order_id"):
                    event = event.model_copy(update={"order_id": name})
                at = T0 + place * SECOND
                change = Change.of_order(key, order, (event,), at)
                assert isinstance(change.after, Order)
                order = change.after
                assert store.append([change], BY_TEST, at) == frozenset()
        yield store


def folded(store: PostgresEventStore, name: str) -> Order:
    """The order as the domain folds it."""
    key = request_id_of(ACCOUNT, name)
    return store.load_orders([key])[key]


def ledger(
    store: PostgresEventStore,
    span: Span = SPAN,
    reader: type[DayReader] = DayReader,
    account: str = ACCOUNT,
) -> Ledger:
    """The ledger of the span."""
    with reader.opened(store.database, account, span.position) as opened:
        return read_ledger(opened, span)


def rows_of(store: PostgresEventStore) -> pd.DataFrame:
    """The ledger's rows by order id."""
    return ledger(store).rows.set_index("order_id")


@pytest.mark.parametrize("name", LIVES)
def test_the_state_is_the_domain_s(store: PostgresEventStore, name: str) -> None:
    """Whatever was sent is in the ledger in the state of the fold; what was not sent is not."""
    order, rows = folded(store, name), rows_of(store)
    if order.attempt == 0:
        assert name not in rows.index
        return
    row = rows.loc[name]
    assert row["state"] == order.state.value
    assert row["sent_at"] == order.first_sent_at
    assert row["admin_fee_rupiah"] == (order.admin_fee_rupiah or 0)
    takes_nothing = order.state is OrderState.QUOTED or (
        order.state is OrderState.FAILED and order.debit_proven_at is None
    )
    assert row["charged_rupiah"] == (0 if takes_nothing else order.charged_rupiah or order.quote_rupiah)
    is_open = order.state.is_in_flight or order.state is OrderState.ESCALATED
    assert row["in_transit_closing_rupiah"] == (row["charged_rupiah"] if is_open else 0)
    left = row["debit_rupiah"] - row["refund_rupiah"] + row["in_transit_closing_rupiah"]
    keeps = is_open or order.state is OrderState.SUCCEEDED
    assert left == (row["charged_rupiah"] if keeps else 0)


def test_an_earlier_position_shows_what_was_known_then(store: PostgresEventStore) -> None:
    """As of the position of each event of one order, its state is the fold of what came before."""
    name = "reversed"
    key = request_id_of(ACCOUNT, name)
    order = None
    for recorded in store.read_stream(StreamId(StreamKind.ORDER, key)):
        order = evolve(order, key, recorded.event, recorded.occurred_at)
        span = Span(SPAN.opens_at, SPAN.closes_at, SPAN.opening_at, SPAN.closing_at, recorded.position, 0)
        rows = ledger(store, span).rows.set_index("order_id")
        assert (name in rows.index) == (order.attempt > 0)
        if order.attempt:
            assert rows.loc[name, "state"] == order.state.value


def test_orders_that_were_read_one_by_one_are_the_same(store: PostgresEventStore) -> None:
    """In bulk by time or by their streams: equal rows."""
    bulk = ledger(store).rows
    with DayReader.opened(store.database, ACCOUNT, SPAN.position) as reader:
        single = ledger_of(reader, SPAN, bulk["request_id"].tolist())
    pd.testing.assert_frame_equal(bulk, single, check_categorical=False)


def test_what_was_sent_before_is_read_from_its_beginning(store: PostgresEventStore) -> None:
    """A span that begins after the sending has those that were in transit, with their amounts."""
    late = T0 + timedelta(hours=3)
    span = Span(late, late + timedelta(days=1), late, late + timedelta(days=1), SPAN.position, 0)
    rows = ledger(store, span).rows
    expected = {
        name
        for name in LIVES
        if folded(store, name).state.is_in_flight or folded(store, name).state is OrderState.ESCALATED
    }
    assert set(rows["order_id"]) == expected
    assert (rows["in_transit_opening_rupiah"] == rows["in_transit_closing_rupiah"]).all()
    assert not rows["is_sent_in_day"].any()


def test_other_accounts_are_counted_and_left_out(store: PostgresEventStore) -> None:
    """Their events are the difference between the log and this account's report."""
    found = ledger(store, account="somebody else")
    ours = ledger(store)
    assert len(found.rows) == 0
    assert found.foreign.events == int(ours.rows["day_events"].sum()) > 0
    assert found.foreign.sendings == int(ours.rows["is_sent_in_day"].sum())
    assert (ours.foreign.events, ours.lost) == (0, ())


def test_the_log_folded_again_gives_the_same_ledger(store: PostgresEventStore) -> None:
    """Rows that appends kept, and today's fold of the log: one ledger, of the day and of a later one."""
    late = replace(SPAN, opens_at=T0 + timedelta(hours=3), opening_at=T0 + timedelta(hours=3))
    for span in (SPAN, late):
        kept, folded_again = ledger(store, span), ledger(store, span, RefoldedDayReader)
        pd.testing.assert_frame_equal(kept.rows, folded_again.rows)
        assert (kept.foreign, kept.lost) == (folded_again.foreign, folded_again.lost)
