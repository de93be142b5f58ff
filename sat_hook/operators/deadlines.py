"""Deadlines of runs, by Airflow's deadline alerts: a run that is late becomes an alert of the pipeline.

The alert reaches people like every other one. It decides nothing: the run goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

from sat_hook.application.late_runs import late_run
from sat_hook.domain.alerts import AlertKind
from sat_hook.hooks.application_database import DEFAULT_CONNECTION, ApplicationHook


def alert_when_later_than(
    interval: timedelta, kind: AlertKind, db_conn_id: str = DEFAULT_CONNECTION
) -> DeadlineAlert:
    """The deadline of a DAG's runs, counted from when a run was queued.

    :param kind: the alert's kind.
    :param db_conn_id: the application database's connection.
    """
    told = {"kind": kind.value, "hours": interval / timedelta(hours=1), "db_conn_id": db_conn_id}
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=interval,
        callback=AsyncCallback(raise_alert, told),
        name=kind.value,
    )


async def raise_alert(kind: str, hours: float, db_conn_id: str, context: Mapping[str, Any]) -> None:
    """Airflow's triggerer calls this when a run is late. The same run is told of once."""
    run = context.get("dag_run") or {}
    run_id = str(run.get("dag_run_id") or run.get("run_id") or "")
    application = ApplicationHook(db_conn_id, "sat deadline")
    async with application.shared():
        now = await asyncio.to_thread(application.store.database_time)
        alert = late_run(AlertKind(kind), run_id, run.get("conf") or {}, hours, now)
        await asyncio.to_thread(application.alerts.add, [alert])
