"""Runs of DAGs that people ask for, how far a run has come, and the parameters that a run accepts."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from sat_hook.application.errors import RunNotFoundError, RunsError, StartRefusedError
from sat_hook.application.installation import Installation, names_of
from sat_hook.application.rights import Person, Right
from sat_hook.application.runs import Run, Runs, RunTask
from sat_hook.application.service import clock_on
from sat_hook.presentation.hints import did_you_mean

AT_WORK = ("running", "deferred", "awaiting_input", "failed")
"""The states of the tasks by which people see what a run does, or why it stopped."""

_NOT_ACCEPTED = (400, 422)
"""The statuses by which Airflow refuses a run's parameters."""


class AskedDag(StrEnum):
    """A DAG that runs for no batch, and that a person may start."""

    CLOSING = "nightly_reconciliation"
    PRICES = "product_price_snapshot"

    @property
    def right(self) -> Right:
        """The right of those who start it. A person's permissions in Airflow count, too."""
        return Right.FINANCE if self is AskedDag.CLOSING else Right.VIEW


class RunProgress(NamedTuple):
    """How far a run has come.

    :param tasks: those that are at work, wait for a person, or failed; a mapped task once for each instance.
    :param is_paused: the DAG is paused, so a queued run waits.
    """

    run: Run
    tasks: tuple[RunTask, ...]
    is_paused: bool


@dataclass(frozen=True, slots=True)
class AskedRuns:
    """Starts runs that belong to no batch, and follows runs of any DAG.

    Every method raises :class:`~sat_hook.application.errors.RightMissingError` without the right, and
    :class:`~sat_hook.application.errors.RunsError` where Airflow refuses.
    """

    installation: Installation

    def start(self, dag: AskedDag, parameters: Mapping[str, Any], person: Person, runs: Runs) -> Run:
        """Start a run now. ``accounts`` among the parameters may have either name of an account.

        :raises StartRefusedError: Airflow does not accept the parameters.
        """
        person.require(dag.right)
        conf = dict(parameters)
        refuse_unknown(conf, runs.parameters(dag))
        if isinstance(named := conf.get("accounts"), list):
            accounts = self.installation.accounts
            conf["accounts"] = [names_of(accounts, str(one)).connection for one in named]
        run_id = f"asked_{self._now():%Y%m%dT%H%M%S_%f}"
        is_new = start_run(runs, dag, run_id, conf, note=f"started by {person.name}")
        run = runs.find(dag, run_id)
        if run is None or not is_new:
            raise StartRefusedError(f"run {run_id}: found a run of this name, or none; expected a new one")
        return run

    def progress(self, dag_id: str, run_id: str, person: Person, runs: Runs) -> RunProgress:
        """How far a run has come.

        :raises RunNotFoundError: there is no such run.
        """
        person.require(Right.VIEW)
        # The state is read before anything else: what is read after the run's end is final, too.
        run = runs.find(dag_id, run_id)
        if run is None:
            raise RunNotFoundError(f"run: found none named {run_id!r} of the DAG {dag_id}")
        return RunProgress(run, tuple(runs.tasks(dag_id, run_id, *AT_WORK)), runs.is_paused(dag_id))

    def parameters(self, dag_id: str, person: Person, runs: Runs) -> Mapping[str, Any]:
        """The parameters that a run of a DAG accepts, with their defaults."""
        person.require(Right.VIEW)
        return runs.parameters(dag_id)

    def _now(self) -> datetime:
        return clock_on(self.installation.store()).now()


def start_run(
    runs: Runs,
    dag_id: str,
    run_id: str,
    conf: Mapping[str, Any],
    *,
    note: str = "",
    at: datetime | None = None,
) -> bool:
    """Start a run; False when a run with this id exists.

    :raises StartRefusedError: Airflow does not accept the parameters, or its database cannot keep them.
    """
    if "\\u0000" in json.dumps([note, conf]):
        raise StartRefusedError("parameters: found a NUL character; expected text without one")
    try:
        return runs.start(dag_id, run_id, conf, note=note, at=at)
    except RunsError as error:
        if error.status in _NOT_ACCEPTED:
            raise StartRefusedError(str(error)) from error
        raise


def refuse_unknown(names: Collection[str], known: Collection[str]) -> None:
    """Refuse a parameter that the DAG does not have: Airflow would ignore a misspelled limit.

    :raises StartRefusedError: naming it.
    """
    for name in names:
        if name not in known:
            raise StartRefusedError(
                f"parameters: found {name!r}{did_you_mean(name, known)}; "
                f"expected one of {', '.join(sorted(known))}"
            )
