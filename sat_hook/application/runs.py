"""The port through which use cases start and answer runs, as the person who acts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

BATCH_DAG = "bulk_disbursement"
CLOSING_DAG = "nightly_reconciliation"
MAXIMUM_UNDER_WAY = 100
OUTCOME_KEY = "outcome"
"""The XCom of the last task of a batch's run: the name of the file, and a line on how the run ended."""
REJECT = "Reject"
"""The option by which a person rejects a batch in Airflow; every other option approves."""


class RunState(StrEnum):
    """The state of a run, in Airflow's words."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """True when the run does nothing more."""
        return self in (RunState.SUCCESS, RunState.FAILED)


class Run(NamedTuple):
    """A run as Airflow describes it.

    :param url: its page in Airflow's UI, relative to the server.
    """

    dag_id: str
    run_id: str
    state: RunState
    run_after: datetime
    conf: Mapping[str, Any]
    url: str


class RunTask(NamedTuple):
    """A task of a run.

    :param state: in Airflow's words; None before the task is scheduled.
    """

    task_id: str
    state: str | None


class Runs(Protocol):
    """Airflow's runs, on behalf of a person, whose permissions in Airflow count. Every method blocks.

    Each raises :class:`~sat_hook.application.errors.RunsError` where Airflow refuses.
    """

    def start(
        self,
        dag_id: str,
        run_id: str,
        conf: Mapping[str, Any],
        *,
        note: str = "",
        at: datetime | None = None,
    ) -> bool:
        """Start a run now, or at a time (aware). Returns False when a run with this id exists."""

    def find(self, dag_id: str, run_id: str) -> Run | None:
        """The run; None when there is none."""

    def tasks(self, dag_id: str, run_id: str, *states: str) -> Sequence[RunTask]:
        """The tasks of a run that exists, in any order; only those in the given states, if any are given."""

    def parameters(self, dag_id: str) -> Mapping[str, Any]:
        """The parameters that a run of the DAG accepts, with their defaults."""

    def is_paused(self, dag_id: str) -> bool:
        """Whether the DAG is paused, so that its runs only queue."""

    def under_way(self, dag_id: str) -> Sequence[Run]:
        """The newest runs of a DAG that have not ended, at most :data:`MAXIMUM_UNDER_WAY`."""

    def cancel(self, dag_id: str, run_id: str) -> None:
        """End a run that has not begun."""

    def answer(self, dag_id: str, run_id: str, task_id: str, option: str) -> None:
        """Answer a task that waits for a person with one of its options."""
