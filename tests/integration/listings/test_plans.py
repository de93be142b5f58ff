"""However many orders there are, a list reads those that it shows, by an index."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from typing import Any

import pytest
from prometheus_client.metrics_core import Metric

from benchmarks.console_data import ACCOUNT, NOW, Sizes, batch_of_number, fill
from sat_hook.application.audit_log import AuditLog, LogQuery
from sat_hook.application.batch_standing import BatchQuery, BatchStanding, StoppedBatches
from sat_hook.application.days import Days
from sat_hook.application.listings import Listings
from sat_hook.application.metrics import Metrics
from sat_hook.application.prices import Prices
from sat_hook.application.rights import Person, Right
from sat_hook.domain.event_record import StreamKind
from sat_hook.domain.order import OrderState
from sat_hook.store import order_lists
from sat_hook.store.approvals import ApprovalStore
from sat_hook.store.log_pages import LogPages, LogSlice
from sat_hook.store.order_lists import OrderFilter, OrderSort
from sat_hook.store.postgres import PostgresEventStore
from stack.databases import ApplicationDatabase
from tests.explained_database import ExplainedDatabase
from tests.integration.listings.conftest import READER
from tests.web_host import FakeAccounts, FakeHost, FakeRuns

SIZES = Sizes(orders=20_000, largest=1_000, others=500, products=500, alerts=100, callbacks=1_000)
FINANCE = Person("fina", frozenset({Right.FINANCE}))
AUDITOR = Person("audi", frozenset({Right.AUDIT}))
LARGEST = batch_of_number(0)


@pytest.fixture(scope="module")
def explained(module_database: ApplicationDatabase) -> Iterator[tuple[Listings, ExplainedDatabase]]:
    """The lists over a database that says how it reads."""
    fill(module_database.owner_dsn, SIZES)
    database = ExplainedDatabase(module_database.writer_dsn)
    host = FakeHost(store=PostgresEventStore(database))
    host.accounts = FakeAccounts({"sat_default": ACCOUNT})
    yield Listings(host, StoppedBatches(host, FakeRuns())), database
    database.close()


def an_order(lists: Listings) -> str:
    """The request id of one."""
    return lists.orders(OrderFilter(batch_id=LARGEST), READER, limit=1).items[0].request_id


def orders(sort: OrderSort | None = None, **filters: Any) -> Callable[[Listings], object]:
    """A list of orders."""
    return lambda lists: lists.orders(OrderFilter(**filters), READER, sort=sort, counted=True)


def approvals_of(lists: Listings) -> ApprovalStore:
    """What approvers are shown."""
    return ApprovalStore(lists.installation.store().database)


def all_read(families: Sequence[Metric]) -> Sequence[Metric]:
    """The figures for Prometheus, of which no part is missing."""
    [was_read] = [family for family in families if family.name == "sat_figures_read"]
    assert all(sample.value == 1 for sample in was_read.samples), was_read
    return families


def log(**filters: Any) -> Callable[[Listings], object]:
    """A page of the log."""
    return lambda lists: AuditLog(lists.installation).events(LogQuery(**filters), AUDITOR)


LISTS: dict[str, Callable[[Listings], object]] = {
    "batches": lambda lists: lists.batches(BatchQuery(), READER),
    "batches by text": lambda lists: lists.batches(BatchQuery(text="orders-7"), READER),
    "batches by standing": lambda lists: lists.batches(BatchQuery(standing=BatchStanding.PAYING), READER),
    "a batch": lambda lists: lists.batch(LARGEST, READER),
    "all orders": orders(),
    "all orders that failed": orders(states=(OrderState.FAILED,), reason_code="S02"),
    **{f"a batch by {sort}": orders(sort, batch_id=LARGEST) for sort in OrderSort},
    "a batch, filtered": orders(
        batch_id=LARGEST, states=(OrderState.FAILED,), reason_code="S02", text="INV-9"
    ),
    "orders for people": orders(states=(OrderState.HELD, OrderState.ESCALATED)),
    "orders in flight": orders(states=(OrderState.PENDING,)),
    "by order id": orders(text="INV-77"),
    "by request id": orders(text="SAB"),
    "by number": orders(client_number="081200000777"),
    "an order": lambda lists: lists.order(an_order(lists), READER),
    "needs": lambda lists: lists.needs_you(READER),
    "products of an approval": lambda lists: approvals_of(lists).products(LARGEST, with_held=True),
    "new recipients": lambda lists: approvals_of(lists).new_recipients(LARGEST, ACCOUNT, 10, with_held=True),
    "deposits": lambda lists: lists.deposits(READER),
    "products": lambda lists: lists.products(READER, text="pulsa p7"),
    "prices": lambda lists: Prices(lists.installation).listings(ACCOUNT, "P7", READER).periods,
    "days of a month": lambda lists: Days(lists.installation).month(ACCOUNT, date(2026, 11, 1), FINANCE),
    "accounts": lambda lists: lists.accounts(READER),
    "the log": log(),
    "the log, one type": log(types=("BatchSubmitted",)),
    "the log, a type of every order": log(types=("OrderReceived", "BatchSubmitted")),
    "the log, batches": log(kind=StreamKind.BATCH),
    "the log, orders": log(kind=StreamKind.ORDER),
    "the log, one stream": log(stream=LARGEST),
    "the log, one account": log(account=ACCOUNT),
    "the log, one day": log(since=NOW - timedelta(days=1), before=NOW + timedelta(days=9_999)),
    "the log, people": log(by_people=True),
    "the log, one person": log(user="maker3"),
    "the log, one person and type": log(user="maker3", types=("BatchSubmitted",)),
    "the log, one type by people": log(by_people=True, types=("BatchSubmitted",)),
    "acts": lambda lists: AuditLog(lists.installation).acts(LogQuery(), AUDITOR),
    "figures": lambda lists: all_read(Metrics(lists.installation, time.monotonic).families()),
    "acts of a person": lambda lists: AuditLog(lists.installation).acts(LogQuery(user="maker3"), AUDITOR),
}


@pytest.mark.parametrize("name", LISTS)
def test_no_list_reads_everything(
    explained: tuple[Listings, ExplainedDatabase], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Orders and events are read by an index; and the list is not empty, so this is no plan for nothing."""
    lists, database = explained
    monkeypatch.setattr(order_lists, "MAXIMUM_LOOKED_AT", 500)
    database.plans.clear()
    found = LISTS[name](lists)
    assert getattr(found, "items", found)
    assert database.plans
    for plan in database.plans:
        assert "Seq Scan on orders" not in plan, plan
        assert "Seq Scan on events_0000" not in plan, plan
        assert "Seq Scan on status_evidence" not in plan, plan


@pytest.mark.parametrize("by_people", [False, True])
def test_a_rare_type_is_not_looked_for_from_the_end_of_the_log(
    explained: tuple[Listings, ExplainedDatabase], by_people: bool
) -> None:
    """Only the index of types, or of persons and types, is read: an event that never was costs nothing."""
    _, database = explained
    database.plans.clear()
    found = LogPages(database).newest(LogSlice(types=("LogVerified",), by_people=by_people), 30)
    assert found == []
    index = "events_0000_actor_type_position_idx" if by_people else "events_0000_type_position_idx"
    assert f"using {index}" in database.plans[-1], database.plans[-1]
    assert "events_0000_pkey" not in database.plans[-1], database.plans[-1]


def test_a_page_of_several_types_has_the_newest_of_all(
    explained: tuple[Listings, ExplainedDatabase],
) -> None:
    """Types of the index and types of every paid order come together, the newest first, each once."""
    _, database = explained
    types = ("OrderSucceeded", "BatchSubmitted")
    pages = LogPages(database)
    whole = [event for event in pages.newest(LogSlice(), 2_000) if event.type_name in types]
    assert len({event.type_name for event in whole}) == len(types)
    assert pages.newest(LogSlice(types=types), len(whole)) == whole


def test_a_page_of_the_log_of_one_account_reads_no_more_than_it_shows(
    explained: tuple[Listings, ExplainedDatabase],
) -> None:
    """Where the newest events are all about the account, as in most logs."""
    lists, database = explained
    database.rows.clear()
    found = AuditLog(lists.installation).events(LogQuery(account=ACCOUNT), AUDITOR, limit=30)
    assert len(found.items) == 30
    assert max(database.rows) <= 31, database.rows


def test_a_later_page_by_row_begins_in_the_index(explained: tuple[Listings, ExplainedDatabase]) -> None:
    """Decisions and exports read a large batch page by page: no page reads those before it again."""
    lists, database = explained
    which = OrderFilter(batch_id=LARGEST)
    first = lists.orders(which, READER, limit=100)
    database.plans.clear()
    second = lists.orders(which, READER, limit=100, cursor=first.next)
    assert second.items[0].row_number > first.items[-1].row_number
    (plan,) = [plan for plan in database.plans if "chosen" in plan]
    assert "(row_number > 1" in plan.partition("Index Cond: ((batch_id")[2].partition("\n")[0], plan
