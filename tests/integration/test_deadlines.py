"""A run that is late becomes an alert, by Airflow's deadline alerts."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.sdk.execution_time import task_runner
from airflow.triggers.callback import CallbackTrigger

from sat_hook.application.late_runs import late_run
from sat_hook.domain.alerts import AlertKind
from sat_hook.operators.deadlines import alert_when_later_than
from sat_hook.store.alerts import AlertBook
from stack.databases import ApplicationDatabase
from tests.airflow_connections import CONNECTIONS, give_connections
from tests.orders import T0
from tests.pipeline import line_of

BATCH_ID = "B" + "A" * 25


def test_a_late_batch_is_told_of_once(
    database: ApplicationDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow's triggerer imports the callback by its path, and may call it twice."""
    shown = SimpleNamespace(send=lambda _message: None)
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", shown, raising=False)
    deadline = alert_when_later_than(timedelta(hours=26), AlertKind.BATCH_LATE, CONNECTIONS["db_conn_id"])
    context = {
        "dag_run": {"dag_run_id": "manual__1", "conf": {"batch_id": BATCH_ID}},
        "deadline": {"id": "1"},
    }

    async def missed() -> list[str]:
        trigger = CallbackTrigger(deadline.callback.path, {**deadline.callback.kwargs, "context": context})
        return [str(event.payload["state"]) async for event in trigger.run()]

    with line_of(database.writer_dsn, tmp_path) as line:
        give_connections(monkeypatch, line, database, tmp_path)
        assert [asyncio.run(missed())[-1] for _ in range(2)] == ["success", "success"]
        [told] = AlertBook(line.store.database).recent()
    assert (told.alert.kind, told.alert.batch_id, told.alert.key) == (
        AlertKind.BATCH_LATE,
        BATCH_ID,
        "batch_late/manual__1",
    )
    assert told.alert.text == f"batch {BATCH_ID}, run manual__1: not done 26 hours after it was queued"


def test_what_a_run_was_given_cannot_break_the_alert() -> None:
    """A run's id and parameters are a stranger's text: one line, and no batch that is none."""
    alert = late_run(AlertKind.BATCH_LATE, "x\n" + "y" * 300, {"batch_id": "../../B"}, 26, T0)
    assert alert.batch_id is None
    assert alert.text.startswith("run x yyy")
    assert (
        late_run(AlertKind.DAY_LATE, "", {}, 6, T0).text
        == "run without an id: not done 6 hours after it was queued"
    )
