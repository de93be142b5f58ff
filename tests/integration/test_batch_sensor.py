"""The end of the wait for a batch: what has no end is handed to people by name, and the batch is complete."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import time_machine
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from sat_hook.clients.clock import SystemClock
from sat_hook.domain.batch import BatchState
from sat_hook.domain.order import OrderState
from sat_hook.operators.batch import SATResultsOperator
from sat_hook.sensors.batch import SETTLING_SECONDS, SATBatchSensor
from sat_hook.store.clock import StoreClock
from sat_hook.triggers.batch import ENDED, GAVE_UP, SATBatchTrigger
from stack.databases import ApplicationDatabase
from tests.airflow_connections import CONNECTIONS, SUCCESS, fired, give_connections
from tests.integration.pipeline.test_steps import ready
from tests.pipeline import Line, line_of

TOLD: dict[str, Any] = {}
"""The values that tasks told other tasks, and the run's note."""
TI = SimpleNamespace(
    dag_id="bulk_disbursement",
    task_id="wait",
    map_index=-1,
    run_id="r",
    try_number=1,
    xcom_push=TOLD.__setitem__,
)
CONTEXT: Any = {"ti": TI}


@pytest.fixture
def line(database: ApplicationDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    """SAT leaves every order pending; Airflow finds its connections in the environment."""
    with line_of(database.writer_dsn, tmp_path, {"faults": [{"fault": "stuck_pending"}]}) as made:
        give_connections(monkeypatch, made, database, tmp_path)
        # Submitted by the line, whose spool is a folder: for Airflow's adapter it is a URI.
        monkeypatch.setenv("SAT_SPOOL_URI", (tmp_path / "spool").as_uri())
        monkeypatch.setenv("SAT_RESULTS_URI", (tmp_path / "results").as_uri())
        yield made


class Later(StoreClock):
    """The database's time two minutes from now: no attempt can be under way any more."""

    def now(self) -> datetime:
        return super().now() + timedelta(minutes=2)


def sensor(batch_id: str) -> SATBatchSensor:
    """The step ``wait``."""
    return SATBatchSensor(task_id="wait", batch_id=batch_id, give_up_after_hours="24", **CONNECTIONS)


def deferred_by(work: Any) -> SATBatchTrigger:
    """The trigger that a step defers to."""
    with pytest.raises(TaskDeferred) as deferred:
        work()
    assert deferred.value.method_name == "resume"
    assert isinstance(deferred.value.trigger, SATBatchTrigger)
    return deferred.value.trigger


@pytest.mark.parametrize("off", [timedelta(hours=7), timedelta(hours=-7)])
def test_a_worker_s_clock_neither_stretches_nor_cuts_the_wait(line: Line, off: timedelta) -> None:
    """The deadline is by the database's time, as the triggerer reads it."""
    batch_id = ready(line, 1)
    line.execute(batch_id)
    began = datetime.now(UTC)
    with time_machine.travel(began + off):
        waiting = deferred_by(lambda: sensor(batch_id).execute(CONTEXT))
    remaining = datetime.fromisoformat(waiting.deadline) - began
    assert abs(remaining - timedelta(hours=24)) < timedelta(minutes=5)


def test_a_deadline_ends_in_a_list_of_names(
    line: Line, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """First in ``wait``, then in ``results``: order ids and request ids, never whom they are for."""
    batch_id = ready(line, 3)
    line.execute(batch_id)
    waiting = deferred_by(lambda: sensor(batch_id).execute(CONTEXT))
    remaining = datetime.fromisoformat(waiting.deadline) - SystemClock().now()
    assert timedelta(hours=23, minutes=59) < remaining <= timedelta(hours=24)

    gave_up = {"end": GAVE_UP, "in_flight": 3}
    # Sent a moment ago: the last attempt may still be under way, and nothing is handed over yet.
    again = deferred_by(lambda: sensor(batch_id).resume(CONTEXT, gave_up))
    remaining = datetime.fromisoformat(again.deadline) - SystemClock().now()
    assert remaining <= timedelta(seconds=SETTLING_SECONDS)
    assert {order.state for order in line.orders(batch_id).values()} == {OrderState.PENDING}

    monkeypatch.setattr("sat_hook.hooks.application_database.StoreClock", Later)
    capsys.readouterr()
    assert sensor(batch_id).resume(CONTEXT, gave_up) == 3
    told = capsys.readouterr().out
    results = SATResultsOperator(task_id="results", batch_id=batch_id, **CONNECTIONS).execute(CONTEXT)
    assert (results["exceptions"], results["orders"]) == (3, {"escalated": 3})
    orders = line.orders(batch_id)
    assert results["exception_order_ids"] == list(orders)
    for log in (told, capsys.readouterr().out):
        for order in orders.values():
            assert order.order_id in log
            assert order.request_id in log
            assert order.client_number not in log
        assert "no end after 24 hours of waiting" in log
        assert "sat order resolve" in log
    batch = line.store.load_batch(batch_id)
    assert batch is not None
    assert batch.state is BatchState.COMPLETED
    # Cleared, the step says the same and changes nothing.
    assert sensor(batch_id).execute(CONTEXT) == 3
    # A wait that ends now resumes the task, which names the orders.
    assert asyncio.run(fired(again)) == {"end": ENDED, "in_flight": 0}


def test_a_wait_that_broke_off_is_no_success(line: Line, tmp_path: Path) -> None:
    """A failed ``wait`` does not stop ``results``; were that green, so would be the run."""
    batch_id = ready(line, 2)
    line.execute(batch_id)
    results = SATResultsOperator(task_id="results", batch_id=batch_id, **CONNECTIONS)
    with pytest.raises(AirflowFailException, match=r"2 orders of batch .* are still under way"):
        results.execute(CONTEXT)
    file_name, outcome = TOLD["outcome"]
    assert outcome == f"{file_name}: 2 under way at SAT", "the run's note, although the task failed"
    batch = line.store.load_batch(batch_id)
    assert batch is not None
    assert batch.state is not BatchState.COMPLETED
    assert batch.results_uri is not None


def test_a_batch_that_ended_leaves_nobody_anything_to_do(
    line: Line, capsys: pytest.CaptureFixture[str]
) -> None:
    """Zero, and a line that says so."""
    line.server.set_faults({"fulfilment": {"min_seconds": 0.05, "max_seconds": 0.1}})
    batch_id = ready(line, 2)
    line.execute(batch_id)
    waiting = deferred_by(lambda: sensor(batch_id).execute(CONTEXT))

    assert asyncio.run(fired(waiting)) == {"end": SUCCESS, "return_value": 0}
    logged = capsys.readouterr().out
    assert f"Batch {batch_id}: 0 of 2 orders ended (2 pending)" in logged
    assert "has ended" in logged
