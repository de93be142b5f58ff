"""Waiting for funds as Airflow does it: deferred, woken by a top-up, reserved in the task."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from sat_hook.domain.batch import BatchState
from sat_hook.domain.funds import BalanceObservation
from sat_hook.domain.order import OrderState
from sat_hook.operators.funds import SATCheckBalanceOperator, SATReserveFundsOperator
from sat_hook.operators.recovery import SATRecoverOrdersOperator
from sat_hook.pipeline.funding import look_at_deposit
from sat_hook.sensors.funds import SATFundsSensor
from sat_hook.triggers.funds import FUNDED, GAVE_UP, SATFundsTrigger
from stack.databases import ApplicationDatabase
from tests.airflow_connections import CONNECTIONS, fired, give_connections
from tests.integration.pipeline.test_funding import PRICE, quoted, states
from tests.pipeline import Line, line_of

CONTEXT: Any = {"ti": SimpleNamespace(dag_id="d", task_id="reserve", map_index=-1, run_id="r", try_number=1)}


@pytest.fixture
def line(database: ApplicationDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    """A deposit of two orders, and connections that Airflow finds in the environment."""
    with line_of(database.writer_dsn, tmp_path, {"deposit_rupiah": 2 * PRICE}) as made:
        give_connections(monkeypatch, made, database, tmp_path)
        yield made


def trigger(seconds: float = 120.0, **what: Any) -> SATFundsTrigger:
    """The trigger as the operator makes it."""
    deadline = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
    return SATFundsTrigger(**CONNECTIONS, deadline=deadline, saldo_lag_seconds=0.0, **what)


def operator(batch_id: str, policy: str) -> SATReserveFundsOperator:
    """The step ``reserve`` of a batch."""
    return SATReserveFundsOperator(
        task_id="reserve", batch_id=batch_id, on_short_funds=policy, saldo_lag_seconds="0", **CONNECTIONS
    )


def test_a_trigger_is_rebuilt_from_what_it_serializes() -> None:
    """The triggerer creates it from these arguments, with the same absolute deadline."""
    waiting = trigger(batch_id="B")
    path, arguments = waiting.serialize()
    assert path == "sat_hook.triggers.funds.SATFundsTrigger"
    assert SATFundsTrigger(**arguments).serialize() == waiting.serialize()


def test_a_top_up_wakes_a_waiting_batch_within_seconds(line: Line) -> None:
    """The trigger looks, whatever SAT's trouble meanwhile; nothing is reserved or recorded by it."""
    batch_id = quoted(line, 3, "A")
    position = line.store.close_position()

    async def wait() -> float:
        task = asyncio.create_task(fired(trigger(batch_id=batch_id)))
        await asyncio.sleep(0.5)
        error = {"fault": "error", "operations": ["account"], "when": "before", "status": 503, "body": "html"}
        await asyncio.to_thread(line.server.set_faults, {"faults": [error]})
        await asyncio.sleep(1.6)
        assert not task.done()
        await asyncio.to_thread(line.server.set_faults, {"faults": []})
        await asyncio.to_thread(line.server.top_up, PRICE)
        began = time.monotonic()
        assert (await task)["end"] == FUNDED
        return time.monotonic() - began

    assert asyncio.run(wait()) < 60
    assert line.store.close_position() == position
    with line.funds.looking("demo") as account:
        assert account.last_observation() is None


def test_many_waits_ask_sat_as_often_as_one(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty batches wait: their first looks are one question, and each sees its own shortage."""
    batch_id = quoted(line, 3, "A")
    asked: list[str] = []

    async def counted(sat: Any, clock: Any, account: str) -> BalanceObservation:
        asked.append(account)
        return await look_at_deposit(sat, clock, account)

    monkeypatch.setattr("sat_hook.triggers.funds.look_at_deposit", counted)

    async def wait() -> list[dict[str, Any]]:
        waits = (trigger(0.0, batch_id=batch_id), *(trigger(0.0, wanted_rupiah=3 * PRICE) for _ in range(19)))
        return await asyncio.gather(*map(fired, waits))

    ends = asyncio.run(wait())
    assert [(end["end"], end["missing_rupiah"]) for end in ends] == [(GAVE_UP, PRICE)] * 20
    assert asked == ["demo"]


def test_a_secret_that_is_replaced_while_it_waits_counts(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old one is refused; the wait of a day ends with the new one, not at its deadline."""
    monkeypatch.setattr("sat_hook.triggers.funds.REREAD_SECONDS", 0.1)
    batch_id = quoted(line, 2, "A")
    good = os.environ["AIRFLOW_CONN_SAT_TEST"]
    monkeypatch.setenv("AIRFLOW_CONN_SAT_TEST", json.dumps({**json.loads(good), "password": "replaced"}))

    async def wait() -> str:
        task = asyncio.create_task(fired(trigger(120.0, batch_id=batch_id)))
        await asyncio.sleep(1)
        assert not task.done()
        monkeypatch.setenv("AIRFLOW_CONN_SAT_TEST", good)
        return str((await asyncio.wait_for(task, 60))["end"])

    assert asyncio.run(wait()) == FUNDED


def test_a_trigger_gives_up_at_its_deadline_and_says_what_is_missing(line: Line) -> None:
    """The deadline is absolute, and the last look decides."""
    batch_id = quoted(line, 3, "A")
    event = asyncio.run(fired(trigger(0.0, batch_id=batch_id)))
    assert (event["end"], event["missing_rupiah"]) == (GAVE_UP, PRICE)


def test_the_step_waits_deferred_and_reserves_in_the_task(line: Line) -> None:
    """Short of funds it defers; woken too early it waits on, until the same deadline; then it reserves."""
    batch_id = quoted(line, 3, "A")
    with pytest.raises(TaskDeferred) as first:
        operator(batch_id, "wait").execute(CONTEXT)
    assert first.value.method_name == "resume"
    deadline = first.value.trigger.serialize()[1]["deadline"]
    event = {"end": FUNDED, "missing_rupiah": 0, "deadline": deadline}
    with pytest.raises(TaskDeferred) as second:
        operator(batch_id, "wait").resume(CONTEXT, event)
    assert second.value.trigger.serialize()[1]["deadline"] == deadline

    line.server.top_up(PRICE)
    assert operator(batch_id, "wait").resume(CONTEXT, event) == {
        "orders": 3,
        "reserved_rupiah": 3 * PRICE,
        "left_orders": 0,
        "left_rupiah": 0,
    }
    line.execute(batch_id, reserve_first=False)
    assert line.server.ledger(totals_only=True)["totals"]["charged"] == 3


def test_a_wait_in_vain_fails_with_what_is_missing(line: Line) -> None:
    """The message says how much to top up and that clearing the task is safe."""
    step = operator("B" * 26, "wait")
    event = {"end": GAVE_UP, "missing_rupiah": 52_000, "deadline": ""}
    with pytest.raises(AirflowFailException, match=r"missing: Rp 52,000.*nothing was sent"):
        step.resume(CONTEXT, event)
    with pytest.raises(AirflowFailException, match="could not be looked at"):
        step.resume(CONTEXT, event | {"missing_rupiah": None})


def test_the_step_pays_in_part_or_refuses_by_policy(line: Line) -> None:
    """Partial leaves the rest quoted and says so; refuse ends the batch, and nothing of it is sent."""
    first, second = quoted(line, 3, "A"), quoted(line, 3, "B")
    assert operator(first, "partial").execute(CONTEXT)["left_orders"] == 1
    with pytest.raises(AirflowFailException, match=r"is refused: .* does not reach for 3 orders"):
        operator(second, "refuse").execute(CONTEXT)
    assert set(states(line, second)) == {OrderState.REJECTED}
    batch = line.store.load_batch(second)
    assert batch is not None
    assert batch.state is BatchState.REFUSED


@pytest.mark.parametrize("policy", ["wait", "partial", "refuse"])
def test_the_early_look_stops_only_what_would_be_refused(line: Line, policy: str) -> None:
    """Waiting and paying in part are the reservation's business; the look itself is kept as evidence."""
    batch_id = line.submit(
        b"order_id,product_code,client_number\n"
        + b"".join(b"A-%d,50k-simpati,0812%08d\n" % (n, n) for n in range(3))
    ).batch_id
    line.take_in(batch_id)
    step = SATCheckBalanceOperator(
        task_id="check", batch_id=batch_id, on_short_funds=policy, saldo_lag_seconds=0, **CONNECTIONS
    )
    if policy == "refuse":
        with pytest.raises(AirflowFailException, match="is refused: the deposit holds Rp 104,000"):
            step.execute(CONTEXT)
    else:
        assert step.execute(CONTEXT) == {"saldo_rupiah": 2 * PRICE, "estimate_rupiah": 3 * PRICE}
    with line.funds.looking("demo") as account:
        seen = account.last_observation()
    assert seen is not None
    assert seen.saldo_rupiah == 2 * PRICE
    assert seen.response_digest is not None


def test_the_janitor_looks_at_the_deposit_and_goes_on_without_it(line: Line) -> None:
    """Each of its rounds leaves a look as evidence; without an answer the orders are still looked after."""

    def recover() -> int | None:
        SATRecoverOrdersOperator(task_id="recover", **CONNECTIONS).execute(CONTEXT)
        with line.funds.looking("demo") as account:
            seen = account.last_observation()
        return seen.saldo_rupiah if seen else None

    error = {"fault": "error", "operations": ["account"], "when": "before", "status": 503, "body": "html"}
    line.server.set_faults({"faults": [error]})
    assert recover() is None
    line.server.set_faults({"faults": []})
    assert recover() == 2 * PRICE


def test_a_sensor_waits_for_free_funds_without_taking_them(line: Line) -> None:
    """What a batch has reserved is not free; what is free is not reserved by looking."""
    batch_id = quoted(line, 1, "A")
    line.reserve(batch_id)

    def sensor(rupiah: int) -> SATFundsSensor:
        return SATFundsSensor(task_id="funds", rupiah=rupiah, saldo_lag_seconds=0, **CONNECTIONS)

    sensor(PRICE).execute(CONTEXT)
    with pytest.raises(TaskDeferred) as deferred:
        sensor(PRICE + 1).execute(CONTEXT)
    waiting = SATFundsTrigger(**deferred.value.trigger.serialize()[1])
    line.server.top_up(1)
    assert asyncio.run(fired(waiting))["end"] == FUNDED
    with pytest.raises(AirflowFailException, match="waited 24 hours"):
        sensor(1).resume(CONTEXT, {"end": GAVE_UP})
