"""One suite for both event stores: what the pipeline may rely on with any store."""

from __future__ import annotations

from contextlib import closing

import pytest
from pydantic import ValidationError

from sat_hook.domain import batch_events
from sat_hook.domain import order_events as happened
from sat_hook.domain.batch import Batch, evolve_batch
from sat_hook.domain.order import OrderState
from sat_hook.store.as_of import as_of_now
from sat_hook.store.database import Database
from sat_hook.store.event_store import (
    Change,
    EventStore,
    Need,
    OrderSlice,
    StatusEvidence,
    each_order,
    needs_of,
)
from sat_hook.store.order_rows import ORDER_COLUMNS
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.testing.event_store import MemoryEventStore
from stack.databases import ApplicationDatabase
from tests.orders import BATCH, BY_TEST, T0, change_of, received, stream_of, submitted
from tests.sql import execute

VALIDATED = happened.OrderValidated(is_inquiry=False, list_price_rupiah=52_000)


def test_appended_events_come_back_as_written(store: EventStore) -> None:
    """Data, provenance, times and digests survive the round trip; versions count from one."""
    conflicts = store.append([change_of(None, 1, received(1), VALIDATED)], BY_TEST, T0)

    assert conflicts == frozenset()
    first, second = store.read_stream(stream_of(1))
    assert first.event == received(1)
    assert second.event == VALIDATED
    assert (first.version, second.version) == (1, 2)
    assert first.occurred_at == T0
    assert first.provenance == BY_TEST
    assert first.digest == first.computed_digest()


def test_projection_follows_in_the_same_append(store: EventStore) -> None:
    """The order that is loaded is the fold of its events."""
    change = change_of(None, 1, received(1), VALIDATED)
    store.append([change], BY_TEST, T0)

    assert store.load_orders([stream_of(1).key, "SUNKNOWN"]) == {stream_of(1).key: change.after}


def test_no_character_of_a_text_ends_a_value(store: EventStore) -> None:
    """Separators, quotes, backslashes and empty texts come back as they were written."""
    odd = happened.OrderRejected(
        reason=happened.RejectionReason.AMOUNT_BOUNDS, detail="a\x1fb\\'\"{},\n\u2028"
    )
    blank = happened.OrderRejected(reason=happened.RejectionReason.AMOUNT_BOUNDS, detail="")
    changes = [change_of(None, number, received(number), event) for number, event in ((1, odd), (2, blank))]
    assert not store.append(changes, BY_TEST, T0)

    for number, (change, event) in enumerate(zip(changes, (odd, blank), strict=True), 1):
        assert [recorded.event for recorded in store.read_stream(stream_of(number))] == [
            received(number),
            event,
        ]
        assert store.load_orders([stream_of(number).key]) == {stream_of(number).key: change.after}


@pytest.mark.parametrize("code", ["", "\x1e", "a\x1fb", "\x1e\x1f\ufffd", "'{}\\N"])
def test_any_code_that_sat_sends_is_kept_as_it_is(store: EventStore, code: str) -> None:
    """Also one that an append uses itself, between the values of a column or in place of none."""
    requested = happened.CheckoutRequested(
        attempt=1, body='{"data":"\x1f"}', price_rupiah=1, send_before=T0, settled_after=T0
    )
    unknown = happened.CheckoutUnknown(attempt=1, reason="", code=code, http_status=200)
    odd = change_of(None, 1, received(1), VALIDATED, requested, unknown)
    others = [change_of(None, number, received(number), VALIDATED) for number in (2, 3)]
    assert not store.append([others[0], odd, others[1]], BY_TEST, T0)
    (kept,) = store.load_orders([stream_of(1).key]).values()
    assert kept == odd.after
    assert kept.reason_code == code
    for change in others:
        assert store.load_orders([change.stream.key]) == {change.stream.key: change.after}


def test_a_row_that_holds_no_order_is_told_from_others(database: ApplicationDatabase) -> None:
    """A poll sets such an order aside by this error."""
    with closing(Database(database.writer_dsn)) as opened:
        store = PostgresEventStore(opened)
        assert not store.append([change_of(None, 1, received(1), VALIDATED)], BY_TEST, T0)
        execute(database.owner_dsn, "UPDATE sat.orders SET state = 'of another release'")
        with pytest.raises(ValidationError):
            store.load_orders([stream_of(1).key])


def test_the_view_has_the_members_of_an_order_in_their_order(database: ApplicationDatabase) -> None:
    """The store reads a row of the view by the places of its columns."""
    columns = """
        SELECT column_name FROM information_schema.columns
        WHERE table_schema = 'sat' AND table_name = 'order_rows' ORDER BY ordinal_position
    """
    assert execute(database.owner_dsn, columns) == [
        (name,) for name in (*ORDER_COLUMNS, "document", "changed_at")
    ]


def test_a_stale_version_is_returned_as_conflict_and_writes_nothing(store: EventStore) -> None:
    """Optimistic concurrency: a decision on an old version has to be made again."""
    first = change_of(None, 1, received(1))
    store.append([first], BY_TEST, T0)
    store.append([change_of(first.after, 1, VALIDATED)], BY_TEST, T0)

    late = change_of(
        first.after, 1, happened.OrderRejected(reason=happened.RejectionReason.AMOUNT_BOUNDS, detail="late")
    )
    assert store.append([late], BY_TEST, T0) == {stream_of(1)}
    assert [e.type_name for e in store.read_stream(stream_of(1))] == ["OrderReceived", "OrderValidated"]
    assert store.load_orders([stream_of(1).key])[stream_of(1).key].state is OrderState.RECEIVED


def test_one_conflict_does_not_cost_the_others(store: EventStore) -> None:
    """A group commit returns the conflicting streams and keeps the rest."""
    store.append([change_of(None, 2, received(2))], BY_TEST, T0)

    group = [change_of(None, number, received(number)) for number in (3, 2, 1)]
    assert store.append(group, BY_TEST, T0) == {stream_of(2)}
    assert len(store.load_orders([stream_of(n).key for n in (1, 2, 3)])) == 3
    assert len(store.read_stream(stream_of(2))) == 1


def test_evidence_is_stored_only_with_its_event(store: EventStore) -> None:
    """A conflicting change leaves no evidence behind either."""
    proof = StatusEvidence("a" * 64, stream_of(1).key, "{}", "sig", "key", T0)
    store.append([change_of(None, 1, received(1))], BY_TEST, T0)
    store.append([change_of(None, 1, received(1), evidence=(proof,))], BY_TEST, T0)

    if isinstance(store, MemoryEventStore):
        assert store.evidence == {}
    else:
        assert isinstance(store, PostgresEventStore)
        assert store.status_evidence(["a" * 64]) == {}


def test_orders_are_paged_by_row_state_and_range(store: EventStore) -> None:
    """A chunk sees its own rows only, in order, whatever the page size."""
    store.append([change_of(None, n, received(n)) for n in range(1, 8)], BY_TEST, T0)
    rejected = happened.OrderRejected(reason=happened.RejectionReason.UNKNOWN_PRODUCT, detail="")
    third = store.load_orders([stream_of(3).key])[stream_of(3).key]
    store.append([change_of(third, 3, rejected)], BY_TEST, T0)

    slice_ = OrderSlice(BATCH, (OrderState.RECEIVED,), first_row=2, last_row=6)
    assert [order.row_number for order in each_order(store, slice_, page=2)] == [2, 4, 5, 6]
    counts = {count.state: count.orders for count in store.count_by_state(BATCH)}
    assert counts == {OrderState.RECEIVED: 6, OrderState.REJECTED: 1}


def test_rows_that_need_a_person_are_counted_by_reason(store: EventStore) -> None:
    """Refused rows of the file, and orders that are rejected, held or escalated; repeats need no person."""
    refused, known = batch_events.RowVerdict.REFUSED, batch_events.RowVerdict.ALREADY_KNOWN
    aside = [(3, refused, "missing_value"), (4, refused, "missing_value"), (5, known, "already_submitted")]
    taken = batch_events.RowsTakenIn(
        first_row=1,
        last_row=5,
        orders=2,
        set_aside=tuple(
            batch_events.RowSetAside(row_number=row, verdict=verdict, code=code, message="")
            for row, verdict, code in aside
        ),
    )
    begun = submitted()
    assert isinstance(begun.after, Batch)
    after: Batch = evolve_batch(begun.after, BATCH, taken)
    rows = Change(begun.stream, 1, (taken,), after)
    rejected = happened.OrderRejected(reason=happened.RejectionReason.UNKNOWN_PRODUCT, detail="")
    held = happened.OrderHeld(reason=happened.HoldReason.LIMIT, detail="")
    orders = [change_of(None, 1, received(1), rejected), change_of(None, 2, received(2), held)]
    store.append([begun, *orders], BY_TEST, T0)
    store.append([rows], BY_TEST, T0)

    found = store.needs([BATCH, "BNONE"])
    assert found == {
        BATCH: (
            Need("refused", "missing_value", 2),
            Need("held", "limit", 1),
            Need("rejected", "unknown_product", 1),
        ),
        "BNONE": (),
    }
    assert needs_of(store, BATCH) == found[BATCH]
    assert as_of_now(store).needs([BATCH])[BATCH] == found[BATCH]


def test_batches_are_streams_like_orders(store: EventStore) -> None:
    """A batch is loaded as the fold of its events; an unknown one is None."""
    change = submitted()
    store.append([change], BY_TEST, T0)
    assert store.load_batch(BATCH) == change.after
    assert store.load_batch("BNONE") is None


def test_the_log_is_read_up_to_a_closed_position(store: EventStore) -> None:
    """Positions grow; paging through the log gives every event once."""
    assert store.close_position() == 0
    store.append([change_of(None, n, received(n)) for n in (1, 2, 3)], BY_TEST, T0)
    closed = store.close_position()
    store.append([change_of(None, 4, received(4))], BY_TEST, T0)

    first = store.read_log(0, closed, 2)
    second = store.read_log(first[-1].position, closed, 2)
    assert [recorded.stream for recorded in [*first, *second]] == [stream_of(1), stream_of(2), stream_of(3)]
    assert store.read_log(second[-1].position, closed, 2) == []


def test_an_empty_append_is_nothing(store: EventStore) -> None:
    """Nothing to append is no error."""
    assert store.append([], BY_TEST, T0) == frozenset()
