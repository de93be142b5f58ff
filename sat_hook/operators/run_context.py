"""The run that an operator or sensor belongs to, and how errors end its task."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from sat_hook.application.run_facts import RunFacts
from sat_hook.domain.errors import StepError
from sat_hook.domain.event_record import Provenance
from sat_hook.pipeline.errors import SubmissionRefusedError
from sat_hook.protocol.errors import SATError

NO_BATCH = ""
SERVICE_ACTOR = "service:airflow"
MAXIMUM_PARAMETER_CHARACTERS = 200


def provenance_of(context: Context) -> Provenance:
    """The task and its try."""
    ti = context["ti"]
    mapped = f"[{ti.map_index}]" if ti.map_index is not None and ti.map_index >= 0 else ""
    return Provenance(
        SERVICE_ACTOR, f"task {ti.dag_id}.{ti.task_id}{mapped} run {ti.run_id} try {ti.try_number}"
    )


def facts_of(context: Context) -> RunFacts:
    """The run of ``context``: its task and try, who started it, and its parameters."""
    ti, dag_run = context["ti"], context.get("dag_run")
    conf = getattr(dag_run, "conf", None) or {}
    return RunFacts(
        provenance=provenance_of(context),
        user=getattr(dag_run, "triggering_user_name", None),
        run=f"{ti.dag_id}/{ti.run_id}",
        claim=ti.run_id,
        # Values that a person or another program set, without defaults.
        parameters={str(name): _shortened(value) for name, value in sorted(conf.items())},
    )


def asked_by(context: Context) -> Provenance:
    """The try of the task. Its actor is the Airflow user when a person started the run."""
    return facts_of(context).asker


def _shortened(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text[:MAXIMUM_PARAMETER_CHARACTERS]


@contextmanager
def failing_for_good(sat_conn_id: str = "") -> Iterator[None]:
    """Fail the task at once, with the reason, for an error that a retry cannot fix; raise others unchanged.

    :raises AirflowFailException: for such an error of the pipeline, the books or SAT.
    """
    try:
        yield
    except StepError as error:
        if not error.is_worth_a_retry:
            raise AirflowFailException(str(error)) from error
        raise
    except SubmissionRefusedError as error:
        raise AirflowFailException(str(error)) from error
    except SATError as error:
        if not error.retryable:
            raise AirflowFailException(f"connection {sat_conn_id}: {error}") from error
        raise


def required_batch(batch_id: str | None) -> str:
    """The batch id that intake returned.

    :raises AirflowSkipException: when intake found that nothing waits to be paid.
    :raises AirflowFailException: when intake itself did not succeed.
    """
    if batch_id == NO_BATCH:
        raise AirflowSkipException("there is no batch: nothing waits to be paid")
    if batch_id is None or batch_id == "None":
        raise AirflowFailException("there is no batch: see why in the log of the task intake")
    return batch_id
