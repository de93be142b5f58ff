"""A text of SAT's with the order's id that is about another product or number ends nothing, at any door."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from sat_hook.clients.asynchronous import AsyncSATClient
from sat_hook.clients.clock import SystemClock
from sat_hook.commands.handler import OrderCommandRequest
from sat_hook.domain.alerts import AlertKind
from sat_hook.domain.order import STATUS_MISMATCH, Order, OrderState
from sat_hook.domain.order_commands import RecordStatus
from sat_hook.pipeline.alerting import collect_alerts
from sat_hook.pipeline.delivery import deliver
from sat_hook.pipeline.errors import BatchStoppedError
from sat_hook.pipeline.limits import AlertingLimits, RecoveryLimits
from sat_hook.pipeline.misdirected_callbacks import tell_of_misdirected
from sat_hook.pipeline.outcome_commands import status_command
from sat_hook.pipeline.overrides import Resolution, resolve_order
from sat_hook.pipeline.single_order import ask_now
from sat_hook.protocol.messages import OrderDetail
from sat_hook.protocol.outcomes import StatusOutcome
from sat_hook.store.alerts import AlertBook
from sat_hook.store.callbacks import CallbackReader
from sat_hook.store.database import Database
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.store.spool import LocalSpool
from sat_hook.testing.event_store import MemoryEventStore
from sat_hook.testing.rechecks import MemoryRecheckSchedule
from stack.databases import ApplicationDatabase
from tests.integration.pipeline.test_rechecks import BEGIN, DAY, OnlyAsked, World
from tests.integration.pipeline.test_recovery import AT_ONCE, Shifted, recover
from tests.integration.pipeline.test_steps import ready
from tests.integration.receiver.serving import order as callback
from tests.integration.receiver.waiting_orders import WaitingOrders, waiting_orders_of
from tests.integration.store.test_rechecks import SUCCEEDED
from tests.orders import ACCOUNT, BY_TEST, ManualClock, received
from tests.pipeline import Line

QUICK = {"fulfilment": {"min_seconds": 0.05, "max_seconds": 0.1}}
LIES = ("other_product", "other_number")
HEAD = b"order_id,product_code,client_number\n"
ONE = HEAD + b"INV-1,kode-voucher-google-100k,081234567890\n"


def lie(line: Line, manner: str, *operations: str) -> None:
    """From now on SAT speaks of something else; without operations it is honest again."""
    rule = {"fault": "garbled_reply", "manner": manner, "operations": list(operations)}
    line.server.set_faults({**QUICK, "faults": [rule] if operations else []})


def ask(line: Line, order: Order) -> Order:
    """A person's question about one order."""

    async def run() -> Order | None:
        async with AsyncSATClient(line.settings, SystemClock()) as sat:
            return (await ask_now(line.handler, sat, order.request_id, BY_TEST))[1]

    now = asyncio.run(run())
    assert now is not None
    return now


def told(line: Line) -> list[AlertKind]:
    """What people are told of."""
    book = AlertBook(line.store.database)
    collect_alerts(line.store, book, AlertingLimits())
    return sorted(shown.alert.kind for shown in book.recent(100))


@pytest.mark.parametrize("manner", LIES)
def test_a_status_about_something_else_goes_to_people(line: Line, manner: str) -> None:
    """Asked in the batch's wait: unknown with a reason of its own, an alert, escalated, nothing delivered."""
    line.execution = AT_ONCE
    lie(line, manner, "status")
    batch_id = line.run(ONE)
    order = line.only_order(batch_id)
    assert (order.state, order.reason_code) == (OrderState.ESCALATED, STATUS_MISMATCH)
    assert manner.split("_")[1] in (order.reason_detail or "")
    assert told(line) == [AlertKind.ORDER_ESCALATED, AlertKind.STATUS_MISMATCHED]
    row = line.finish(batch_id)[1].content.decode("utf-8-sig").splitlines()[1]
    assert "succeeded" not in row
    assert STATUS_MISMATCH in row
    with pytest.raises(BatchStoppedError, match="no succeeded order"):
        deliver(line.store, batch_id, reason="for the shop", provenance=BY_TEST, clock=SystemClock())
    assert ask(line, order).state is OrderState.ESCALATED, "asked by a person, it is the same lie"
    lie(line, manner)
    assert ask(line, order).state is OrderState.SUCCEEDED, "a status about this order still ends it"


def test_while_the_attempt_is_under_way_it_is_unknown_and_then_recovery_hands_it_over(line: Line) -> None:
    """An order is not escalated while its sender still waits; recovery does it as soon as that is over."""
    line.server.set_faults(QUICK)
    batch_id = ready(line, 1)
    line.execute(batch_id, reserve_first=False)
    lie(line, "other_number", "status")
    assert ask(line, line.only_order(batch_id)).state is OrderState.UNKNOWN
    assert ask(line, line.only_order(batch_id)).reason_code == STATUS_MISMATCH
    recover(line, ahead=timedelta(seconds=90))
    order = line.only_order(batch_id)
    assert (order.state, order.reason_code) == (OrderState.ESCALATED, STATUS_MISMATCH)
    handler = line.handler
    handler.clock = Shifted(timedelta(seconds=90))
    reason = "SAT paid another order"
    now = resolve_order(handler, order.request_id, Resolution.FAILED, reason, BY_TEST, RecoveryLimits())
    assert now.state is OrderState.FAILED


@pytest.mark.parametrize("manner", LIES)
def test_a_reply_about_something_else_accepts_nothing(line: Line, manner: str) -> None:
    """The unsigned answer to the checkout: unknown, as with another id; the signed status ends it."""
    lie(line, manner, "checkout")
    batch_id = ready(line, 1)
    line.execute(batch_id, reserve_first=False)
    order = line.only_order(batch_id)
    assert (order.state, order.reason_code) == (OrderState.UNKNOWN, "order_mismatch")
    assert order.charged_rupiah is None
    line.server.set_faults(QUICK)
    line.wait(batch_id)
    assert line.only_order(batch_id).state is OrderState.SUCCEEDED


def test_an_id_that_another_log_used_for_another_order(
    line: Line, new_database: Callable[[], ApplicationDatabase], tmp_path: Path
) -> None:
    """The log forgot an order, and its id now stands for another number: this one was not paid."""
    line.server.set_faults(QUICK)
    line.run(HEAD + b"INV-1,25k-xl,081812345678\n")
    forgot = Database(new_database().writer_dsn, "tests")
    with closing(forgot):
        store, spool = PostgresEventStore(forgot), LocalSpool(tmp_path / "other")
        other = Line(store, spool, line.server, line.settings, AT_ONCE)
        batch_id = other.run(HEAD + b"INV-1,50k-simpati,081211119999\n")
        order = other.only_order(batch_id)
        assert (order.state, order.reason_code) == (OrderState.ESCALATED, STATUS_MISMATCH)
        assert order.mismatch == ("product_code", "client_number")
        assert line.server.request(order.request_id)["charged"] == 1


@pytest.fixture
def waiting(database: ApplicationDatabase) -> Iterator[WaitingOrders]:
    """Orders beside a receiver."""
    with waiting_orders_of(database) as made:
        yield made


def test_a_trusted_callback_about_something_else_goes_to_people(waiting: WaitingOrders) -> None:
    """It ends nothing, and SAT is asked all the same: what it signs about this order counts."""
    lied, honest = waiting.take_in(1, "pending"), waiting.take_in(2, "pending")
    for key in (lied, honest):
        body = callback(key, "Success", client_number="0899000000", voucher_code="5196 1584")
        assert waiting.served.post(body).status_code == 200
    waiting.sat.answers[honest] = "Success"
    waiting.poll(waiting.trusting())
    assert sorted(waiting.sat.asked) == sorted([lied, honest])
    assert (waiting.order(lied).state, waiting.order(lied).reason_code) == (
        OrderState.ESCALATED,
        STATUS_MISMATCH,
    )
    assert waiting.order(honest).state is OrderState.SUCCEEDED


def test_callbacks_that_speak_of_different_orders_are_confirmed(waiting: WaitingOrders) -> None:
    """One is about this order, one is not: SAT is asked before anything is concluded."""
    key = waiting.take_in(1, "pending")
    waiting.served.post(callback(key, "Success", client_number=received(1).client_number))
    waiting.served.post(callback(key, "Success", client_number="0899000000"))
    waiting.poll(waiting.trusting())
    assert waiting.sat.asked == [key]
    assert waiting.order(key).state is OrderState.PENDING


def test_people_are_told_of_a_callback_about_something_else(waiting: WaitingOrders) -> None:
    """Also where callbacks are not trusted and the status is right: once, without a value of SAT's."""
    key, other = waiting.take_in(1, "pending"), waiting.take_in(2, "pending")
    for body in (
        callback(key, "Success", client_number="0899000000"),
        callback(key, "Success", client_number=received(1).client_number),
        callback(other, "Success", product_code="test-9"),
        callback(other, "Pending", client_number="****"),
        callback("SSTRANGER", "Success", client_number="0899000000"),
    ):
        assert waiting.served.post(body).status_code == 200
    waiting.sat.answers[key] = "Success"
    waiting.poll()
    assert waiting.order(key).state is OrderState.SUCCEEDED
    book = AlertBook(waiting.store.database)
    reader = CallbackReader(waiting.store.database, settled_seconds=0)
    tell = book.add
    assert tell_of_misdirected(CallbackReader(waiting.store.database), ACCOUNT, tell) == 0, "still settling"
    assert tell_of_misdirected(reader, "somebody else", tell) == 0
    assert [tell_of_misdirected(reader, ACCOUNT, tell) for _ in range(2)] == [2, 0]
    shown = [item.alert for item in book.recent(10)]
    assert {alert.kind for alert in shown} == {AlertKind.CALLBACK_MISDIRECTED}
    assert sorted(alert.subject or "" for alert in shown) == sorted([key, other])
    assert not any("0899" in alert.text or "test-9" in alert.text for alert in shown)


class OfAnotherNumber(OnlyAsked):
    """A SAT whose statuses are about another client number."""

    async def ask_status(self, request_id: str) -> StatusOutcome:
        honest = await super().ask_status(request_id)
        assert honest.detail is not None
        return replace(honest, detail=honest.detail.model_copy(update={"client_number": "0899000000"}))


def test_a_look_after_the_end_finds_it(database: ApplicationDatabase) -> None:
    """At D+1 and D+7: the end stands, the difference is an event and an alert, once."""
    clock = ManualClock(BEGIN)
    store = MemoryEventStore(clock)
    world = World(store, MemoryRecheckSchedule(store), clock, OfAnotherNumber())
    key = world.end(1, SUCCEEDED, says="Success")
    clock.advance(DAY)
    report = world.look()
    assert sum(report.found.values()) == 1
    assert report.found["changed"] == 1  # type: ignore[index]
    order = store.load_orders([key])[key]
    assert (order.state, order.mismatch) == (OrderState.SUCCEEDED, ("client_number",))
    before = len(store.log)
    clock.advance(6 * DAY)
    assert world.look().found["same"] == 1  # type: ignore[index]
    assert len(store.log) == before


def test_goods_of_an_end_that_an_earlier_release_took_for_this_order_stay(line: Line) -> None:
    """Old logs may rest on such a status: its voucher belongs to another order and is not delivered."""
    line.execution = AT_ONCE
    line.server.set_faults(QUICK)
    batch_id = ready(line, 1)
    line.execute(batch_id, reserve_first=False)
    order = line.only_order(batch_id)
    lie(line, "other_number", "status")

    async def status() -> StatusOutcome:
        async with AsyncSATClient(line.settings, SystemClock()) as sat:
            while True:
                outcome = await sat.ask_status(order.request_id)
                if isinstance(outcome.detail, OrderDetail) and outcome.detail.status == "Success":
                    return outcome
                await asyncio.sleep(0.05)

    taken = status_command(order.request_id, asyncio.run(status()), SystemClock().now())
    assert taken is not None
    assert isinstance(taken.command, RecordStatus)
    # What the release before did: it compared nothing but the id.
    blind = replace(taken.command, product_code="", client_number="")
    line.handler.apply([OrderCommandRequest(order.request_id, blind, taken.evidence)], BY_TEST)
    assert line.only_order(batch_id).state is OrderState.SUCCEEDED
    goods = deliver(line.store, batch_id, reason="for the shop", provenance=BY_TEST, clock=SystemClock())
    assert goods.decode("utf-8-sig").splitlines()[1].endswith(",,")
