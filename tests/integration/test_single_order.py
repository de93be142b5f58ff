"""Operators and sensor of a single order: paid once whatever happens to the tasks, nothing secret in XCom."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from sandbox.testing import SandboxServer
from sat_hook.clients.asynchronous import AsyncSATClient
from sat_hook.domain.batch import BatchState
from sat_hook.domain.batch_events import BatchSource
from sat_hook.domain.event_record import StreamId, StreamKind
from sat_hook.domain.identity import request_id_of
from sat_hook.domain.order import Order, OrderState
from sat_hook.operators.batch import SATExecuteOperator
from sat_hook.operators.inquiry import SATInquiryOperator
from sat_hook.operators.order import SATCheckoutOperator
from sat_hook.operators.status import SATStatusOperator
from sat_hook.pipeline.held_orders import HeldDecision, decide_held_order
from sat_hook.pipeline.overrides import pause_account, resume_account
from sat_hook.sensors.batch import SATBatchSensor
from sat_hook.sensors.order import SATOrderSensor
from sat_hook.store.clock import StoreClock
from sat_hook.triggers.order import ENDED, GAVE_UP, SATOrderTrigger
from stack.databases import ApplicationDatabase
from tests.airflow_connections import CONNECTIONS, fired, give_another_account, give_connections
from tests.orders import ACCOUNT, BY_TEST
from tests.pipeline import Line, line_of

NUMBER = "081211311111"
PRICE = 52_000
QUICK: dict[str, Any] = {"fulfilment": {"min_seconds": 0.05, "max_seconds": 0.1}}
SLOW: dict[str, Any] = {"fulfilment": {"min_seconds": 600, "max_seconds": 601}}


@pytest.fixture
def line(database: ApplicationDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    """A SAT server that is quick, and connections that Airflow finds in the environment."""
    monkeypatch.setenv("SAT_SPOOL_URI", (tmp_path / "spool").as_uri())
    with line_of(database.writer_dsn, tmp_path, QUICK) as made:
        give_connections(monkeypatch, made, database, tmp_path)
        yield made


def context(try_number: int = 1) -> Any:
    """What Airflow gives a try."""
    ti = SimpleNamespace(dag_id="shop", task_id="buy", map_index=-1, run_id="r1", try_number=try_number)
    return {"ti": ti, "dag_run": SimpleNamespace(triggering_user_name="ops"), "number": NUMBER}


def checkout(order_id: str = "INV-1", **changes: Any) -> SATCheckoutOperator:
    """The task of a shop that sells credit."""
    wanted = {
        "order_id": order_id,
        "product_code": "50k-simpati",
        "client_number": "{{ number }}",
        "max_rupiah": 60_000,
        **changes,
    }
    return SATCheckoutOperator(task_id="buy", **CONNECTIONS, **wanted)


def order_of(line: Line, order_id: str = "INV-1") -> Order:
    """The order in the log."""
    request_id = request_id_of(ACCOUNT, order_id)
    return line.store.load_orders([request_id])[request_id]


def charged(line: Line, order_id: str = "INV-1") -> int:
    """How often SAT charged the order; 0 when it never heard of it."""
    requests = line.server.ledger()["requests"]
    entry = requests.get(request_id_of(ACCOUNT, order_id))
    return 0 if entry is None else int(entry["charged"])


def waited(order_id: str = "INV-1", **options: Any) -> dict[str, Any]:
    """What the sensor returns in the end, deferral included."""
    sensor = SATOrderSensor(task_id="wait", order_id=order_id, **CONNECTIONS, **options)
    try:
        return sensor.execute(context())
    except TaskDeferred as deferred:
        # The triggerer creates the trigger again.
        _, arguments = deferred.trigger.serialize()
    return sensor.resume(context(), asyncio.run(fired(SATOrderTrigger(**arguments))))


def test_an_order_is_bought_once_and_followed_to_its_end(line: Line) -> None:
    """By task, retry, a cleared task and another run: one request id, one charge; XCom holds no secret."""
    bought = checkout().execute(context())
    assert (bought["state"], bought["order_id"], bought["price_rupiah"]) == ("pending", "INV-1", PRICE)
    again = checkout().execute(context(2))
    assert again["request_id"] == bought["request_id"] == request_id_of(ACCOUNT, "INV-1")
    ended = waited()
    assert (ended["state"], ended["verdict"], ended["charged_rupiah"]) == ("succeeded", "paid", PRICE)
    assert checkout().execute(context(3))["state"] == "succeeded"
    assert charged(line) == 1
    batch = line.store.load_batch(bought["batch_id"])
    assert batch is not None
    assert (batch.state, batch.source, batch.orders) == (BatchState.COMPLETED, BatchSource.OPERATOR, 1)
    assert NUMBER not in json.dumps([bought, again, ended])
    assert not {"voucher_code", "serial_number", "client_number", "client_name"} & ended.keys()


def test_who_started_the_run_is_the_maker(line: Line) -> None:
    """As Airflow authenticated them: no user approves their own order."""
    checkout().execute(context())
    events = line.store.read_stream(StreamId(StreamKind.BATCH, order_of(line).batch_id))
    assert events[0].provenance.actor == "user:ops"


def test_an_answer_that_never_came_is_asked_for_by_the_next_try(line: Line) -> None:
    """Charged without a reply: unknown, then found out; never sent again."""
    line.server.set_faults({**QUICK, "faults": [{"fault": "response_lost", "operations": ["checkout"]}]})
    assert checkout().execute(context())["state"] == "unknown"
    line.server.set_faults(QUICK)
    assert checkout().execute(context(2))["state"] in ("pending", "succeeded")
    assert waited()["state"] == "succeeded"
    assert charged(line) == 1


def test_a_try_that_died_after_its_intent_is_not_repeated(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed when the request may have left: the next try asks and does not send."""

    async def killed(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(AsyncSATClient, "place_order", killed)
        with pytest.raises(KeyboardInterrupt):
            checkout().execute(context())
    assert order_of(line).state is OrderState.SUBMITTING
    assert checkout().execute(context(2))["state"] in ("submitting", "unknown")
    assert charged(line) == 0
    assert order_of(line).attempt == 1


def test_two_tries_at_once_send_once(line: Line) -> None:
    """A zombie beside its successor: the version fence gives the order one sender."""

    def run(number: int) -> str:
        return str(checkout().execute(context(number))["state"])

    with ThreadPoolExecutor(2) as pool:
        states = list(pool.map(run, (1, 2)))
    assert set(states) <= {"pending", "submitting", "unknown", "succeeded"}
    assert waited()["state"] == "succeeded"
    assert charged(line) == 1
    assert order_of(line).attempt == 1


def test_another_order_under_a_known_id_fails(line: Line) -> None:
    """The id is the promise; the first order is untouched."""
    checkout().execute(context())
    with pytest.raises(AirflowFailException, match="stands for another order"):
        checkout(product_code="25k-xl").execute(context())
    assert order_of(line).product_code == "50k-simpati"


def test_an_order_of_a_file_is_not_paid_by_a_task_again(line: Line) -> None:
    """Submitted as a row before: it is followed, and left to its batch as long as it waits to be sent."""
    row = f"order_id,product_code,client_number,max_rupiah\nINV-1,50k-simpati,{NUMBER},60000\n".encode()
    batch_id = line.quoted(row)
    found = checkout().execute(context())
    assert (found["state"], found["batch_id"]) == ("quoted", batch_id)
    line.execute(batch_id)
    assert checkout().execute(context())["batch_id"] == batch_id
    assert waited()["state"] == "succeeded"
    assert charged(line) == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"max_rupiah": PRICE - 1}, "above_maximum"),
        ({"product_code": "no-such-product"}, "unknown_product"),
        ({"product_code": "20k-axis"}, "inactive_product"),
    ],
)
def test_what_must_not_be_sent_is_rejected_with_its_reason(
    line: Line, changes: dict[str, Any], reason: str
) -> None:
    """No end of an order fails the task, unless the DAG wants that."""
    ended = checkout(**changes).execute(context())
    assert (ended["state"], ended["reason_code"], ended["is_final"]) == ("rejected", reason, True)
    assert waited()["state"] == "rejected"
    with pytest.raises(AirflowFailException, match="is rejected"):
        waited(fail_unless_paid=True)
    assert charged(line) == 0


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"client_number": "+62812"}, "column client_number"),
        ({"order_id": "=1+1"}, "column order_id"),
        # What an upstream task did not return: the next customer's order would be taken for this one.
        ({"order_id": "None"}, "order_id"),
        ({"max_rupiah": "None"}, "max_rupiah"),
        ({"max_rupiah": "12.000"}, "max_rupiah"),
        ({"rules": {"day_limit": 1}}, "rules"),
    ],
)
def test_what_cannot_be_an_order_fails_the_task(line: Line, changes: dict[str, Any], text: str) -> None:
    """At once, with what was found and expected; nothing is sent."""
    with pytest.raises(AirflowFailException, match=text) as refused:
        checkout(**changes).execute(context())
    assert NUMBER not in str(refused.value)
    assert line.server.ledger()["requests"] == {}


def test_a_paused_account_sends_nothing(line: Line) -> None:
    """The task fails with the reason; resumed and cleared, it sends."""
    pause_account(line.handler, ACCOUNT, "suspicious", BY_TEST)
    with pytest.raises(AirflowFailException, match="suspicious"):
        checkout().execute(context())
    assert (order_of(line).state, charged(line)) == (OrderState.QUOTED, 0)
    resume_account(line.handler, ACCOUNT, "was nothing", BY_TEST)
    assert checkout().execute(context(2))["state"] == "pending"


def test_a_deposit_that_does_not_reach_is_waited_for(line: Line) -> None:
    """Deferred until a top-up; then the task goes on. Refused, the order ends and costs nothing."""
    line.server.spend_elsewhere(line.server.saldo_rupiah() - 1000)
    refused = checkout("INV-2", on_short_funds="refuse", client_number="081211311112").execute(context())
    assert (refused["state"], refused["reason_code"]) == ("rejected", "insufficient_funds")
    waiting = checkout()
    with pytest.raises(TaskDeferred) as deferred:
        waiting.execute(context())
    deadline = deferred.value.trigger.serialize()[1]["deadline"]
    with pytest.raises(AirflowFailException, match="nothing was sent"):
        waiting.resume(context(), {"end": "gave_up", "deadline": deadline})
    line.server.top_up(1_000_000)
    assert waiting.resume(context(), {"end": "funded", "deadline": deadline})["state"] == "pending"


def test_a_held_order_waits_for_a_person(line: Line) -> None:
    """The same business under another id; released, the next try sends it."""
    checkout().execute(context())
    held = checkout("INV-2").execute(context())
    assert (held["state"], held["reason_code"]) == ("held", "business_duplicate")
    assert checkout("INV-2").execute(context(2))["state"] == "held"
    decide_held_order(line.handler, held["request_id"], HeldDecision.RELEASE, "really twice", BY_TEST)
    assert checkout("INV-2").execute(context(3))["state"] == "pending"


def test_an_account_that_wants_approvals_has_the_order_held(
    line: Line, database: ApplicationDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was not approved, so nothing is sent; releasing it is no approval either."""
    give_connections(monkeypatch, line, database, tmp_path, approval_over_rupiah=10_000)
    held = checkout().execute(context())
    assert (held["state"], held["reason_code"]) == ("held", "approval")
    decide_held_order(line.handler, held["request_id"], HeldDecision.RELEASE, "go on", BY_TEST)
    assert checkout().execute(context(2))["state"] == "held"
    assert charged(line) == 0


def test_a_bill_is_asked_for_and_then_paid(line: Line) -> None:
    """The inquiry returns prices only; its price is what the checkout may cost."""
    bill = SATInquiryOperator(
        task_id="ask", product_code="pln-postpaid", client_number="{{ number }}", **CONNECTIONS
    ).execute({**context(), "number": "512345600001"})
    assert bill["sales_price_rupiah"]
    assert set(bill) == {
        "product_code",
        "sales_price_rupiah",
        "base_price_rupiah",
        "admin_fee_rupiah",
        "min_payment_rupiah",
        "max_payment_rupiah",
    }
    paid = checkout(
        product_code="pln-postpaid", client_number="512345600001", max_rupiah=bill["sales_price_rupiah"]
    ).execute(context())
    assert (paid["state"], paid["price_rupiah"]) == ("pending", bill["sales_price_rupiah"])


def test_an_inquiry_that_is_refused_for_good_fails_at_once(line: Line) -> None:
    """A retry would be refused as well."""
    asked = SATInquiryOperator(task_id="ask", product_code="nothing", client_number=NUMBER, **CONNECTIONS)
    with pytest.raises(AirflowFailException) as refused:
        asked.execute(context())
    assert NUMBER not in str(refused.value)


def test_a_status_is_asked_for_and_recorded(line: Line) -> None:
    """By either id; never for what was never sent; an order that is not ours is only asked about."""
    bought = checkout().execute(context())
    states = []
    for _ in range(20):
        by_id = SATStatusOperator(task_id="look", order_id="INV-1", **CONNECTIONS).execute(context())
        states.append(by_id["state"])
        if by_id["state"] == "succeeded":
            break
    assert order_of(line).state is OrderState.SUCCEEDED, states
    same = SATStatusOperator(task_id="look", request_id=bought["request_id"], **CONNECTIONS).execute(
        context()
    )
    assert (same["state"], same["reported_status"], same["charged_rupiah"]) == ("succeeded", "Success", PRICE)
    assert NUMBER not in json.dumps(same)
    stranger = SATStatusOperator(task_id="look", order_id="NEVER", **CONNECTIONS).execute(context())
    assert (stranger["state"], stranger["reported_status"]) == (None, None)
    checkout("INV-2", max_rupiah=1, client_number="081211311112").execute(context())
    unsent = SATStatusOperator(task_id="look", order_id="INV-2", **CONNECTIONS).execute(context())
    assert (unsent["state"], unsent["reported_status"]) == ("rejected", None)
    with pytest.raises(AirflowFailException, match="expected one of them"):
        SATStatusOperator(task_id="look", **CONNECTIONS).execute(context())


def test_another_accounts_connection_has_no_say_about_an_order(
    line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SAT does not know the order there, which says nothing: no door to a second payment may open."""
    line.server.set_faults(SLOW)
    bought = checkout().execute(context())
    version = order_of(line).version

    class Later(StoreClock):
        def now(self) -> Any:
            return super().now() + timedelta(minutes=2)

    monkeypatch.setattr("sat_hook.hooks.application_database.StoreClock", Later)
    with SandboxServer() as north:
        connections = {**CONNECTIONS, "sat_conn_id": give_another_account(monkeypatch, north, tmp_path)}
        ids = {"request_id": bought["request_id"]}
        for step in (
            SATStatusOperator(task_id="look", **ids, **connections),
            SATOrderSensor(task_id="wait", **ids, **connections),
            SATBatchSensor(task_id="wait", batch_id=bought["batch_id"], **connections),
            SATExecuteOperator(
                task_id="send",
                batch_id=bought["batch_id"],
                chunk={"first_row": 1, "last_row": 5, "orders": 1},
                **connections,
            ),
        ):
            with pytest.raises(AirflowFailException, match="belongs to account 'demo'"):
                step.execute(context())
        assert north.ledger()["requests"] == {}
    assert order_of(line).version == version


def test_an_order_without_an_end_is_handed_to_people(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not while its last attempt may still be under way; the batch is complete with it, a late end lands."""
    line.server.set_faults(SLOW)
    checkout().execute(context())
    sensor = SATOrderSensor(task_id="wait", order_id="INV-1", give_up_after_hours="0.0001", **CONNECTIONS)
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute(context())
    event = asyncio.run(fired(deferred.value.trigger))  # type: ignore[arg-type]
    assert event == {"end": GAVE_UP, "in_flight": 1}
    with pytest.raises(TaskDeferred):
        sensor.resume(context(), event)

    class Later(StoreClock):
        def now(self) -> Any:
            return super().now() + timedelta(minutes=2)

    monkeypatch.setattr("sat_hook.hooks.application_database.StoreClock", Later)
    ended = sensor.resume(context(), event)
    assert (ended["state"], ended["verdict"]) == ("escalated", "unknown: may have been charged")
    batch = line.store.load_batch(ended["batch_id"])
    assert batch is not None
    assert batch.state is BatchState.COMPLETED
    assert waited()["state"] == "escalated", "nothing more is waited for"
    with pytest.raises(AirflowFailException, match="is escalated: no end after"):
        waited(fail_unless_paid=True)


def test_an_order_that_nobody_knows_is_not_waited_for(line: Line) -> None:
    """Else a misspelled id would wait a day."""
    with pytest.raises(AirflowFailException, match="no order with request id"):
        waited("NEVER")


def test_the_trigger_is_rebuilt_from_what_it_serializes() -> None:
    """The triggerer creates it again, with the same absolute deadline."""
    trigger = SATOrderTrigger(
        request_id="S1", batch_id="B1", deadline="2026-11-02T03:00:00+00:00", **CONNECTIONS
    )
    path, arguments = trigger.serialize()
    assert path == "sat_hook.triggers.order.SATOrderTrigger"
    assert SATOrderTrigger(**arguments).serialize() == (path, arguments)
    assert ENDED != GAVE_UP


@pytest.mark.parametrize("operator", [SATCheckoutOperator, SATInquiryOperator])
def test_customers_are_not_among_the_rendered_fields(operator: Any) -> None:
    """Airflow keeps and shows those of every run."""
    assert not {"client_number", "fields"} & set(operator.template_fields)
