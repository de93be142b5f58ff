"""Withdrawing while the batch is being sent, on PostgreSQL against a real SAT server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import Mock

import pytest

from sat_hook.domain.batch_commands import RefuseBatch, WithdrawBatch
from sat_hook.domain.event_record import Provenance, StreamId, StreamKind
from sat_hook.domain.order import OrderState
from sat_hook.pipeline import intake
from sat_hook.pipeline.errors import ChunkIncompleteError
from sat_hook.pipeline.withdrawal import withdraw_batch
from stack.databases import ApplicationDatabase
from tests.orders import ACCOUNT
from tests.pipeline import Line, line_of

ORDERS = 120
PERSON = Provenance("user:mia", "plugin:withdraw")


@pytest.fixture
def line(database: ApplicationDatabase, tmp_path: Path) -> Iterator[Line]:
    """A SAT that takes its time for a checkout."""
    slow = {"fault": "delay", "operations": ["checkout"], "distribution": "uniform", "to_seconds": 0.2}
    with line_of(database.writer_dsn, tmp_path, {"faults": [{**slow, "seconds": 0.05}]}) as made:
        yield made


def not_sent(line: Line, request_id: str) -> bool:
    """Whether the order's request was decided on and then not sent."""
    events = line.handler.store.read_stream(StreamId(StreamKind.ORDER, request_id))
    return "CheckoutNotSent" in {event.type_name for event in events}


def test_an_order_is_sent_or_withdrawn_and_never_both(line: Line) -> None:
    """A person withdraws the batch while a task sends it: SAT has seen exactly the others, and funds fit."""
    rows = "".join(f"A{n},25k-xl,0818{n:08d}\n" for n in range(ORDERS))
    batch_id = line.quoted(f"order_id,product_code,client_number\n{rows}".encode())
    line.reserve(batch_id)
    line.execution = type(line.execution)(in_flight=4)
    stopped: list[Exception] = []

    def send() -> None:
        try:
            line.execute(batch_id, reserve_first=False)
        except ChunkIncompleteError as error:
            stopped.append(error)

    sender = threading.Thread(target=send)
    sender.start()
    line.server.wait_until(lambda ledger: len(ledger["requests"]) >= 5)
    report = withdraw_batch(line.handler, batch_id, "the file was the wrong one", PERSON)
    sender.join(60)
    assert not sender.is_alive()
    # An order that was about to be sent when the task stopped is quoted again; the task's next try ends it.
    came_back = {
        order.request_id for order in line.orders(batch_id).values() if order.state is OrderState.QUOTED
    }
    line.execute(batch_id, reserve_first=False)
    orders = line.orders(batch_id).values()
    withdrawn = {order.request_id for order in orders if order.state is OrderState.CANCELLED}
    posted = set(line.server.ledger()["requests"])
    assert len(withdrawn - came_back) == report.withdrawn > 0
    assert all(not_sent(line, request_id) for request_id in came_back)
    assert posted == {order.request_id for order in orders} - withdrawn
    assert not any(order.state is OrderState.QUOTED for order in orders)
    line.wait(batch_id)
    summary, _ = line.finish(batch_id)
    assert summary.orders_by_state == {"cancelled": len(withdrawn), "succeeded": ORDERS - len(withdrawn)}
    with line.funds.looking(ACCOUNT) as account:
        assert account.outstanding(datetime.now(UTC)).reserved_rupiah == 0


def test_a_task_finishes_a_withdrawal_that_was_cut_short(line: Line) -> None:
    """The batch is marked and its orders are quoted still: no try of the task sends one or fails for ever."""
    rows = "".join(f"A{n},25k-xl,0818{n:08d}\n" for n in range(3))
    batch_id = line.quoted(f"order_id,product_code,client_number\n{rows}".encode())
    line.reserve(batch_id)
    line.handler.apply_to_batch(batch_id, WithdrawBatch("the file was the wrong one"), PERSON)
    line.execute(batch_id, reserve_first=False)
    assert {order.reason_code for order in line.orders(batch_id).values()} == {"withdrawn"}
    assert line.server.ledger()["requests"] == {}


def test_the_results_finish_a_withdrawal_that_was_cut_short_during_intake(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Intake and withdrawal are killed in the middle. No other step of a refused batch runs; results do."""
    batch_id = line.submit(b"order_id,product_code,client_number\nA1,25k-xl,081800000001\n").batch_id
    with monkeypatch.context() as killed:
        killed.setattr(intake, "RowsTakenIn", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            line.take_in(batch_id)
    assert [order.state for order in line.orders(batch_id).values()] == [OrderState.RECEIVED]
    line.handler.apply_to_batch(batch_id, WithdrawBatch("the file was the wrong one"), PERSON)
    line.handler.apply_to_batch(batch_id, RefuseBatch("withdrawn", "the file was the wrong one"), PERSON)
    summary, _ = line.finish(batch_id)
    assert summary.orders_by_state == {"cancelled": 1}
