"""The note of a batch's run in Airflow: when the run ends, it says how.

A listener of Airflow. It runs where a run's state is set: in the scheduler, and in the API server when a
person sets the state. It reads what the task ``results`` told, from Airflow's own database and in the same
session, so it waits for nothing else. Airflow catches what it raises: a run never fails by its note.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from airflow.listeners import hookimpl

from sat_hook.application.runs import BATCH_DAG, OUTCOME_KEY

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from sqlalchemy.orm import Session

OUTCOME_TASK = "results"
MAXIMUM_NOTE_CHARACTERS = 1000
STOPPED = "The run stopped in "


@hookimpl
def on_dag_run_success(dag_run: DagRun, msg: str) -> None:
    """Airflow calls this when a run has succeeded."""
    del msg
    _tell(dag_run)


@hookimpl
def on_dag_run_failed(dag_run: DagRun, msg: str) -> None:
    """Airflow calls this when a run has failed."""
    del msg
    _tell(dag_run)


def _tell(dag_run: DagRun) -> None:
    if dag_run.dag_id != BATCH_DAG:
        return
    from sqlalchemy.orm import object_session

    session = object_session(dag_run)
    if session is None:
        return
    # No savepoint: the scheduler forbids every commit while it looks at runs, also that of a savepoint.
    outcome, stopped_in = _outcome(dag_run, session), _stopped_in(dag_run, session)
    note = note_after(dag_run.note, outcome, stopped_in)
    if note != (dag_run.note or ""):
        dag_run.note = note


def note_after(note: str | None, outcome: Sequence[str], stopped_in: str | None) -> str:
    """The note of a run that has ended. Lines that a person wrote stay.

    :param outcome: the name of the file and the line that begins with it; empty when the run told nothing.
    :param stopped_in: the task that failed first.
    """
    own = (STOPPED, *outcome[:1])
    kept = [line for line in (note or "").splitlines() if not line.startswith(own)]
    said = [*outcome[1:], *([] if stopped_in is None else [f"{STOPPED}{stopped_in}."])]
    return "\n".join([*said, *kept])[:MAXIMUM_NOTE_CHARACTERS]


def _outcome(dag_run: DagRun, session: Session) -> list[str]:
    from airflow.models.xcom import XComModel

    told = XComModel.get_many(
        run_id=dag_run.run_id, key=OUTCOME_KEY, task_ids=OUTCOME_TASK, dag_ids=dag_run.dag_id, limit=1
    )
    row = session.scalars(told).first()
    value = None if row is None else XComModel.deserialize_value(row)
    if isinstance(value, list) and len(value) == 2 and all(isinstance(one, str) for one in value):
        return value
    return []


def _stopped_in(dag_run: DagRun, session: Session) -> str | None:
    """The task that failed first; tasks after it may have failed because of it."""
    from airflow.utils.state import TaskInstanceState

    failed = [
        (task.end_date, task.task_id)
        for task in dag_run.get_task_instances(state=[TaskInstanceState.FAILED], session=session)
        if task.end_date is not None
    ]
    return min(failed)[1] if failed else None
