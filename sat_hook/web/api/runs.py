"""Routes of Airflow's runs: how far one has come, its batch, its parameters, and runs without a batch."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Path
from pydantic import JsonValue

from sat_hook.application.asked_runs import AskedDag
from sat_hook.application.rights import Right
from sat_hook.application.runs import RunTask
from sat_hook.web.api.batch_models import StartedRun
from sat_hook.web.api.models import Document, route
from sat_hook.web.dependencies import AskedRunsDep, BatchStartsDep, CurrentPerson, RunsDep

router = APIRouter(tags=["runs"])

_Name = Annotated[str, Path(max_length=250)]


class Task(Document, of=RunTask):
    """A task of a run, with its state in Airflow's words."""


class RunProgress(StartedRun):
    """How far a run has come. See :class:`sat_hook.application.asked_runs.RunProgress`."""

    tasks: tuple[Task, ...]
    is_paused: bool


@router.get("/runs/{dag_id}/{run_id}", **route(Right.VIEW))
def show_progress(
    dag_id: _Name, run_id: _Name, person: CurrentPerson, asked: AskedRunsDep, runs: RunsDep
) -> RunProgress:
    """Return how far a run has come: its state, and the tasks that are at work, wait or failed."""
    found = asked.progress(dag_id, run_id, person, runs)
    begun = StartedRun.model_validate(found.run).model_dump()
    tasks = tuple(map(Task.model_validate, found.tasks))
    return RunProgress(**begun, tasks=tasks, is_paused=found.is_paused)


@router.get("/runs/{dag_id}/{run_id}/batch", **route(Right.VIEW))
def batch_of_run(
    dag_id: _Name, run_id: _Name, person: CurrentPerson, starts: BatchStartsDep, runs: RunsDep
) -> dict[str, str | None]:
    """Return the batch that a run of Airflow works on; null when it works on none."""
    return {"batch_id": starts.batch_of_run(dag_id, run_id, person, runs)}


@router.get("/dags/{dag_id}/parameters", **route(Right.VIEW))
def list_parameters(
    dag_id: _Name, person: CurrentPerson, asked: AskedRunsDep, runs: RunsDep
) -> dict[str, JsonValue]:
    """Return the parameters that a run of a DAG accepts, with their defaults."""
    return dict(asked.parameters(dag_id, person, runs))


@router.post("/dags/{dag}/runs", **route(Right.VIEW, Right.FINANCE))
def start_run(
    dag: AskedDag,
    person: CurrentPerson,
    asked: AskedRunsDep,
    runs: RunsDep,
    parameters: Annotated[dict[str, JsonValue], Body(embed=True, max_length=100)],
) -> StartedRun:
    """Start a run that belongs to no batch: `product_price_snapshot`, or `nightly_reconciliation`, which
    needs `finance`.
    """
    return StartedRun.model_validate(asked.start(dag, parameters, person, runs))
