"""The store as it stood: the same suite for both, because the past is folded from either log."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime

import pytest

from sat_hook.domain import batch_events, order_events
from sat_hook.domain.batch import Batch, evolve_batch
from sat_hook.domain.event_record import StreamId, StreamKind
from sat_hook.domain.order import OrderState
from sat_hook.store.as_of import as_of_now, as_of_position
from sat_hook.store.database import Database
from sat_hook.store.errors import UnsettledPositionError
from sat_hook.store.event_store import Change, EventStore, OrderSlice, each_order
from sat_hook.store.postgres import PostgresEventStore, position_at
from tests.orders import BATCH, BY_TEST, T0, change_of, received, stream_of, submitted

REJECTED = order_events.OrderRejected(reason=order_events.RejectionReason.UNKNOWN_PRODUCT, detail="")
OTHER_BATCH = "B" + "A" * 25


def closed_intake(store: EventStore) -> Change:
    """A change that ends the intake of the batch."""
    batch = store.load_batch(BATCH)
    event = batch_events.BatchReceived(rows=3, orders=3, set_aside=0)
    after: Batch = evolve_batch(batch, BATCH, event)
    return Change(StreamId(StreamKind.BATCH, BATCH), after.version - 1, (event,), after)


def test_the_past_stays_as_it_was(store: EventStore) -> None:
    """Batch, orders, pages and counts at a position are what they were when it was the last one."""
    orders = [change_of(None, number, received(number)) for number in (1, 2, 3)]
    store.append([submitted(), *orders], BY_TEST, T0)
    store.append([change_of(None, 9, received(9, batch_id=OTHER_BATCH))], BY_TEST, T0)
    store.append([closed_intake(store)], BY_TEST, T0)
    then = store.close_position()
    everything = OrderSlice(BATCH)
    batch, pages, counts = (
        store.load_batch(BATCH),
        list(each_order(store, everything)),
        store.count_by_state(BATCH),
    )

    store.append([change_of(pages[1], 2, REJECTED)], BY_TEST, T0)

    past, present = as_of_position(store, then), as_of_now(store)
    assert past.load_batch(BATCH) == batch
    assert list(each_order(past, everything, page=2)) == pages
    assert past.count_by_state(BATCH) == counts
    assert past.load_orders([stream_of(2).key, "SUNKNOWN"]) == {stream_of(2).key: pages[1]}
    assert present.count_by_state(BATCH) == store.count_by_state(BATCH) != counts
    rejected = OrderSlice(BATCH, (OrderState.REJECTED,), first_row=2, last_row=3)
    assert list(each_order(present, rejected)) == list(each_order(store, rejected))
    assert len(past.read_stream(stream_of(2))) == 1


def test_orders_of_an_intake_in_the_middle_are_seen(store: EventStore) -> None:
    """As of a position before the intake had ended, the rows that were read by then are there."""
    store.append([submitted(), change_of(None, 1, received(1))], BY_TEST, T0)
    then = store.close_position()
    store.append([change_of(None, 2, received(2))], BY_TEST, T0)
    assert [order.row_number for order in each_order(as_of_position(store, then), OrderSlice(BATCH))] == [1]


def test_before_the_beginning_there_is_nothing(store: EventStore) -> None:
    """No batch, no orders, no error."""
    store.append([submitted(), change_of(None, 1, received(1))], BY_TEST, T0)
    past = as_of_position(store, 0)
    assert past.load_batch(BATCH) is None
    assert past.orders_of_batch(OrderSlice(BATCH)) == []
    assert past.count_by_state(BATCH) == []


@pytest.mark.parametrize("position", [-1, 3])
def test_the_future_is_not_answered_for(store: EventStore, position: int) -> None:
    """What is not settled may still become anything."""
    store.append([submitted(), change_of(None, 1, received(1))], BY_TEST, T0)
    with pytest.raises(UnsettledPositionError, match=f"position {position}: found a log"):
        as_of_position(store, position)


def test_a_moment_has_a_position(new_database: Callable[[], object]) -> None:
    """The last event that was recorded by then; zero before the first."""
    with closing(Database(new_database().writer_dsn)) as database:  # type: ignore[attr-defined]
        store = PostgresEventStore(database)
        store.append([submitted(), change_of(None, 1, received(1))], BY_TEST, T0)
        between = store.read_stream(stream_of(1))[-1].recorded_at
        store.append([change_of(None, 2, received(2))], BY_TEST, T0)
        assert position_at(database, T0) == 0
        assert position_at(database, between) == 2
        assert position_at(database, datetime.now(UTC)) == 3
