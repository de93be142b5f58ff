"""Start the run of a batch as a person: now or at a time, and again for what is left of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from sat_hook.application.asked_runs import refuse_unknown, start_run
from sat_hook.application.decisions import Decisions
from sat_hook.application.errors import StartRefusedError
from sat_hook.application.installation import names_of
from sat_hook.application.rights import Person, Right
from sat_hook.application.runs import BATCH_DAG, Run, Runs
from sat_hook.application.service import Service, clock_on
from sat_hook.commands.handler import CommandHandler, load_batch
from sat_hook.domain.batch import Batch
from sat_hook.domain.batch_events import BatchStartPlanned, ShortFundsPolicy
from sat_hook.domain.decision import Record
from sat_hook.pipeline.limits import BadRowsPolicy
from sat_hook.store.postgres import PostgresEventStore

_OF_THE_BATCH = frozenset({"batch_id", "account"})
"""The parameters that the batch itself gives."""


@dataclass(frozen=True, slots=True)
class RunPolicies:
    """What a run does with bad rows, and when the deposit is too small."""

    on_bad_rows: BadRowsPolicy = BadRowsPolicy.PROCEED
    on_short_funds: ShortFundsPolicy = ShortFundsPolicy.WAIT

    def asked(self) -> RunAsked:
        """Both as parameters of a run."""
        names = {"on_bad_rows": self.on_bad_rows.value, "on_short_funds": self.on_short_funds.value}
        return RunAsked(parameters=names)


@dataclass(frozen=True, slots=True)
class RunAsked:
    """What a person asks of a run.

    :param account: the account that pays, by its connection or its name in the log; None is the batch's.
    :param parameters: parameters of the DAG by name; the others have their defaults. None of them loosens a
        rule of the account.
    """

    account: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)


class BegunRun(NamedTuple):
    """A run, and whether it was started just now."""

    run: Run
    is_new: bool


@dataclass(frozen=True, slots=True)
class BatchStarts(Service):
    """Starts runs of ``bulk_disbursement``. Every run pays from the account that the batch names.

    Every method raises :class:`~sat_hook.application.errors.RightMissingError` without the right to submit,
    :class:`~sat_hook.commands.errors.BatchNotFoundError`, and
    :class:`~sat_hook.application.errors.RunsError` where Airflow refuses.
    """

    def start(
        self,
        batch_id: str,
        person: Person,
        runs: Runs,
        asked: RunAsked | None = None,
        *,
        note: str = "",
        at: datetime | None = None,
    ) -> BegunRun:
        """Start the first run of a batch. If it was started before, return that run and change nothing.

        :param at: when it begins; None is now.
        :param note: the run's note for readers in Airflow, after the name of the file.
        :raises StartRefusedError: a run of another batch has the first run's name, the account is not the
            batch's, or Airflow does not accept the parameters.
        """
        person.require(Right.SUBMIT)
        run_id = first_run_of(batch_id)
        batch = load_batch(self.store, batch_id)
        about = f"{batch.file_name}: {note}" if note else batch.file_name
        is_new = start_run(
            runs, BATCH_DAG, run_id, self._conf(batch, asked or RunAsked(), runs), note=about, at=at
        )
        return BegunRun(_started(_first_of(batch_id, runs), run_id), is_new)

    def run_again(self, batch_id: str, person: Person, runs: Runs, asked: RunAsked | None = None) -> Run:
        """Run a batch once more with the parameters of its first run, unless others are asked for. Nothing is
        sent twice.

        After a planned start was cancelled, the batch is planned for now, in the person's name.

        :raises StartRefusedError: its first run begins later, another run began within the same second, the
            account is not the batch's, or Airflow does not accept the parameters.
        """
        person.require(Right.SUBMIT)
        first = _first_of(batch_id, runs)
        store = self.store
        batch, clock = load_batch(store, batch_id), clock_on(store)
        conf = {**(first.conf if first else {}), **self._conf(batch, asked or RunAsked(), runs)}
        now = clock.now()
        if first is not None and not first.state.is_final and first.run_after > now:
            raise StartRefusedError(
                f"batch {batch_id}: found a run that begins at {first.run_after:%F %R %Z}; expected none "
                "that waits, cancel it first"
            )
        if batch.starts_at is not None and batch.starts_at > now:
            planned = Record(BatchStartPlanned(starts_at=now))
            CommandHandler(store, clock).apply_to_batch(batch_id, planned, person.by("run"))
        run_id = f"{first_run_of(batch_id)}_{now:%Y%m%dT%H%M%S}"
        if not start_run(runs, BATCH_DAG, run_id, conf, note=batch.file_name):
            raise StartRefusedError(f"run {run_id}: found a run of this name; expected none, try again")
        return _started(runs.find(BATCH_DAG, run_id), run_id)

    def run_rest(self, batch_id: str, person: Person, runs: Runs, asked: RunAsked | None = None) -> Run:
        """Run what is left of a batch: its first run when there was none, else another one."""
        person.require(Right.SUBMIT)
        if _first_of(batch_id, runs) is None:
            return self.start(batch_id, person, runs, asked).run
        return self.run_again(batch_id, person, runs, asked)

    def withdraw_planned(self, batch_id: str, reason: str, person: Person, runs: Runs) -> Run:
        """Withdraw a batch whose run begins later, and end that run. A batch whose run has begun goes on.

        :raises StartRefusedError: there is no such run, or it has begun.
        :raises ReasonRefusedError: no reason is given.
        """
        self.planned_run(batch_id, person, runs)
        Decisions(self.installation).withdraw_batch(batch_id, reason, person)
        return self.cancel(batch_id, person, runs)

    def cancel(self, batch_id: str, person: Person, runs: Runs) -> Run:
        """End the first run of a batch before it begins.

        :raises StartRefusedError: there is none, or it has begun.
        """
        run = self.planned_run(batch_id, person, runs)
        runs.cancel(BATCH_DAG, run.run_id)
        return _started(runs.find(BATCH_DAG, run.run_id), run.run_id)

    def planned_run(self, batch_id: str, person: Person, runs: Runs) -> Run:
        """The first run of a batch, which can be cancelled because it begins later.

        :raises StartRefusedError: there is none, or it has begun.
        """
        person.require(Right.SUBMIT)
        run = _first_of(batch_id, runs)
        now = self.clock.now()
        if run is None or run.state.is_final or run.run_after <= now:
            found = "no run" if run is None else f"a run that is {run.state}"
            raise StartRefusedError(f"batch {batch_id}: found {found}; expected one that begins later")
        return run

    def first_run(self, batch_id: str, person: Person, runs: Runs) -> Run | None:
        """The first run of a batch, which may begin later; None when none was started."""
        person.require(Right.VIEW)
        return _first_of(batch_id, runs)

    def last_run(self, batch_id: str, person: Person, runs: Runs) -> Run | None:
        """The run of a batch that has not ended, which may begin later, else its last one; None when none was
        started.
        """
        person.require(Right.VIEW)
        first = _first_of(batch_id, runs)
        if first is not None and not first.state.is_final:
            return first
        at_work = (run for run in runs.under_way(BATCH_DAG) if run.conf.get("batch_id") == batch_id)
        return next(at_work, None) or last_run_of(self.store, batch_id, runs)

    def batch_of_run(self, dag_id: str, run_id: str, person: Person, runs: Runs) -> str | None:
        """The batch that a run works on: by its parameters, else by the log; None without one."""
        person.require(Right.VIEW)
        run = runs.find(dag_id, run_id)
        named = run.conf.get("batch_id") if run else None
        if isinstance(named, str) and self.store.load_batch(named) is not None:
            return named
        return self.store.batch_of_run(f"{dag_id}/{run_id}")

    def _conf(self, batch: Batch, asked: RunAsked, runs: Runs) -> dict[str, Any]:
        """The conf of a run: the batch, the connection of its account, and the parameters asked for."""
        accounts, parameters = self.installation.accounts, dict(asked.parameters)
        if asked.account is not None and (owner := accounts.account_of(asked.account)) != batch.account:
            raise StartRefusedError(
                f"account: found {owner!r}; expected {batch.account!r}, whose batch {batch.batch_id} is"
            )
        if parameters:
            refuse_unknown(parameters, runs.parameters(BATCH_DAG).keys() - _OF_THE_BATCH)
        connection = names_of(accounts, asked.account or batch.account).connection
        return {**parameters, "batch_id": batch.batch_id, "account": connection}


def last_run_of(store: PostgresEventStore, batch_id: str, runs: Runs) -> Run | None:
    """The last run that the log has of a batch, else its first run; None when Airflow has neither."""
    dag_id, _, run_id = (store.last_run(batch_id) or "").partition("/")
    return (runs.find(dag_id, run_id) if run_id else None) or _first_of(batch_id, runs)


def first_run_of(batch_id: str) -> str:
    return f"batch_{batch_id}"


def _first_of(batch_id: str, runs: Runs) -> Run | None:
    """The first run of a batch. A run of its name, started in Airflow, may be another batch's."""
    run = runs.find(BATCH_DAG, first_run_of(batch_id))
    return run if run is not None and run.conf.get("batch_id") == batch_id else None


def _started(run: Run | None, run_id: str) -> Run:
    if run is None:
        raise StartRefusedError(
            f"run {run_id}: found none of this batch after it was started; expected one, look in Airflow"
        )
    return run
