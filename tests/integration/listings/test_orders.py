"""The lists of orders and the page of one: filters, sorts, pages, masked numbers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sat_hook.application.errors import ListingRefusedError, RightMissingError
from sat_hook.application.listings import OrderPage
from sat_hook.application.order_details import OrderRow
from sat_hook.application.pages import cursor_of, list_name
from sat_hook.application.rights import Person
from sat_hook.audit.actions import actions_since
from sat_hook.domain import order_events
from sat_hook.domain.alerts import Alert, AlertKind
from sat_hook.domain.event_record import StreamId, StreamKind
from sat_hook.domain.order import OrderState
from sat_hook.pipeline.errors import OrderNotFoundError
from sat_hook.store import order_lists
from sat_hook.store.alerts import AlertBook
from sat_hook.store.order_lists import OrderFilter, OrderSort
from stack.databases import ApplicationDatabase
from tests.integration.listings.conftest import HELD, READER, SEER, SENT, Office, office_in
from tests.orders import T0

KEYS: dict[OrderSort, Callable[[OrderRow], Any]] = {
    OrderSort.ROW: lambda row: 0,
    OrderSort.AMOUNT: lambda row: row.quote_rupiah or 0,
    OrderSort.PRODUCT: lambda row: row.product_code,
    OrderSort.STATE: lambda row: row.state.value,
    OrderSort.CHANGED: lambda row: row.changed_at,
}


def all_of(office: Office, which: OrderFilter, person: Person = SEER, **more: Any) -> list[OrderRow]:
    """Every page of a list."""
    rows: list[OrderRow] = []
    cursor = None
    while True:
        page = office.lists.orders(which, person, cursor=cursor, limit=3, **more)
        rows += page.items
        cursor = page.next
        if cursor is None:
            return rows


@pytest.fixture(scope="module")
def busy(module_database: ApplicationDatabase) -> Iterator[Office]:
    """Two batches; of the first, orders in four states. No test changes them."""
    with office_in(module_database) as office:
        office.batch("a", (5, 4, 4, 1, 2, 2, 9))
        office.batch("b", (7, 7))
        escalated = order_events.OrderEscalated(reason="late")
        for row, events in ((2, (SENT,)), (4, (HELD,)), (8, (SENT, escalated))):
            office.happen(office.order_of("a", row), *events)
        yield office


def batch_of(office: Office, reference: str) -> str:
    """The batch of a reference."""
    return office.store.load_orders([office.order_of(reference, 2)])[office.order_of(reference, 2)].batch_id


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("sort", OrderSort)
def test_a_batch_is_sorted_by_anything(busy: Office, sort: OrderSort, *, descending: bool) -> None:
    """Page by page it is what sorting everything gives; equal orders come by row."""
    which = OrderFilter(batch_id=batch_of(busy, "a"))
    rows = all_of(busy, which, sort=sort, descending=descending)
    by_row = sorted(rows, key=lambda row: row.row_number)
    assert len(rows) == 7
    assert rows == sorted(by_row, key=lambda row: (KEYS[sort](row), row.row_number), reverse=descending)


def test_orders_of_all_batches_come_by_their_last_change(busy: Office) -> None:
    """The newest first, every one once."""
    rows = all_of(busy, OrderFilter())
    assert [row.order_id for row in rows[:3]] == ["a-8", "a-4", "a-2"]
    assert len({row.request_id for row in rows}) == len(rows) == 9
    assert [row.changed_at for row in rows] == sorted((row.changed_at for row in rows), reverse=True)
    with pytest.raises(ListingRefusedError, match="sort: found amount ascending over all batches"):
        busy.lists.orders(OrderFilter(), SEER, sort=OrderSort.AMOUNT)


def test_a_filter_without_an_index_is_looked_for_in_steps(
    busy: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page looks at a limited number of orders; a short one has a next until all were looked at."""
    monkeypatch.setattr(order_lists, "MAXIMUM_LOOKED_AT", 2)
    which = OrderFilter(least_rupiah=7)
    first = busy.lists.orders(which, SEER, limit=3)
    assert [row.order_id for row in first.items] == ["a-8"]
    assert first.next is not None
    assert {row.order_id for row in all_of(busy, which)} == {"a-8", "b-2", "b-3"}


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"states": (OrderState.HELD, OrderState.ESCALATED)}, ["a-4", "a-8"]),
        ({"states": (OrderState.SUBMITTING, OrderState.HELD)}, ["a-2", "a-4"]),
        ({"states": (OrderState.QUOTED,), "least_rupiah": 3}, ["a-3", "b-2", "b-3"]),
        ({"product_code": "product-1", "most_rupiah": 4}, ["a-4", "a-6"]),
        ({"reason_code": "limit"}, ["a-4"]),
        ({"text": "b-"}, ["b-2", "b-3"]),
        ({"text": "a_"}, []),
        ({"text": "b-", "least_rupiah": 8}, []),
        ({"account": "sat_default", "states": (OrderState.HELD,)}, ["a-4"]),
        ({"account": "other", "states": (OrderState.HELD,)}, []),
    ],
)
def test_filters(busy: Office, filters: dict[str, Any], expected: list[str]) -> None:
    """Over all batches and in one batch the same orders are found."""
    assert sorted(row.order_id for row in all_of(busy, OrderFilter(**filters))) == expected
    for reference in ("a", "b"):
        rows = all_of(busy, OrderFilter(**{**filters, "batch_id": batch_of(busy, reference)}))
        mine = [name for name in expected if name.startswith(f"{reference}-")]
        assert sorted(row.order_id for row in rows) == mine


def test_a_request_id_is_found_by_its_beginning(busy: Office) -> None:
    """In either case; the whole id finds one order."""
    request_id = busy.order_of("a", 3)
    assert [row.request_id for row in all_of(busy, OrderFilter(text=request_id))] == [request_id]
    beginning = all_of(busy, OrderFilter(text=request_id[:4].lower()))
    assert request_id in {row.request_id for row in beginning}


def test_orders_are_counted_up_to_a_limit(busy: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """A count says when there are more."""

    def counted(most: int) -> OrderPage:
        monkeypatch.setattr(order_lists, "MAXIMUM_COUNTED", most)
        monkeypatch.setattr("sat_hook.application.listings.MAXIMUM_COUNTED", most)
        return busy.lists.orders(OrderFilter(batch_id=batch_of(busy, "a")), SEER, counted=True, limit=1)

    assert (counted(7).count, counted(7).is_more) == (7, False)
    assert (counted(6).count, counted(6).is_more) == (6, True)
    nothing = busy.lists.orders(OrderFilter(text="nothing"), SEER, counted=True)
    assert (nothing.items, nothing.count, nothing.next) == ((), 0, None)


def test_numbers_are_masked_without_the_right_to_see_them(busy: Office) -> None:
    """In the column, and in a reason that quotes one."""
    which = OrderFilter(states=(OrderState.HELD,))
    (masked,), (whole,) = all_of(busy, which), all_of(busy, which, READER)
    assert (whole.client_number, whole.reason) == ("08121000003", "08121000002 is over the limit")
    assert (masked.client_number, masked.reason) == ("0812*****03", "*** is over the limit")
    details = busy.lists.order(masked.request_id, SEER)
    assert "08121000003" not in repr(details)
    assert busy.lists.order(masked.request_id, READER).row.client_number == "08121000003"


def test_an_order_has_its_history_price_and_alerts(busy: Office) -> None:
    """Each event with its parameters, by whom and when."""
    request_id = busy.order_of("a", 8)
    last = busy.store.read_stream(StreamId(StreamKind.ORDER, request_id))[-1]
    alert = Alert(f"event/{last.position}", AlertKind.ORDER_ESCALATED, "demo", "an order waits", T0)
    AlertBook(busy.store.database).add([alert])
    found = busy.lists.order(request_id, SEER)
    assert (found.maker, found.row.file_name) == ("maria", "a.csv")
    assert [entry.kind for entry in found.history] == [
        "OrderReceived", "OrderValidated", "OrderQuoted", "CheckoutRequested", "OrderEscalated",
    ]  # fmt: skip
    assert found.history[-1].parameters == {"reason": "late"}
    assert found.history[0].parameters["client_number"] == "***"
    assert [told.alert.key for told in found.alerts] == [alert.key]
    assert (found.price, found.evidence, found.callbacks) == (None, (), ())
    with pytest.raises(OrderNotFoundError):
        busy.lists.order("S" + "A" * 31, SEER)


def test_a_search_by_number_is_recorded(office: Office) -> None:
    """It needs the right to see numbers, finds whole numbers only, and leaves an event of the person."""
    batch_id = office.batch("november")
    which = OrderFilter(client_number="08121000002")
    with pytest.raises(RightMissingError, match="view_numbers"):
        office.lists.orders(which, SEER)
    before = datetime.now(UTC) - timedelta(minutes=1)
    assert [row.order_id for row in all_of(office, which, READER)] == ["november-3"]
    assert all_of(office, OrderFilter(client_number="0812100000"), READER) == []
    inside = OrderFilter(client_number="08121000002", batch_id=batch_id)
    assert [row.order_id for row in all_of(office, inside, READER)] == ["november-3"]
    found = [
        (act.type_name, act.provenance.actor, json.loads(act.data))
        for act in actions_since(office.store.database, before, user="nora")
    ]
    assert [name for name, _, _ in found] == ["ClientNumberSearched"] * 3
    assert {actor for _, actor, _ in found} == {"user:nora"}
    assert found[0][2] == {"account": "demo", "client_number": "0812*****02", "orders": 1}
    assert found[1][2]["orders"] == 0
    # A cursor can be made by hand, so it does not show that the search was recorded before.
    made = cursor_of(list_name("orders", which, None, False), (-1, "", "", -1))
    assert office.lists.orders(which, READER, cursor=made).items
    acts = actions_since(office.store.database, before, user="nora")
    assert [act.type_name for act in acts] == ["ClientNumberSearched"] * 4
