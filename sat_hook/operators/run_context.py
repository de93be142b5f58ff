"""What operators and sensors have to know of the run that they are in."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from sat_hook.domain.event_record import Provenance
from sat_hook.hooks.sat import SATHook
from sat_hook.pipeline.errors import PipelineError
from sat_hook.protocol.errors import SATError
from sat_hook.reconciliation.errors import ReconciliationError

NO_BATCH = ""
SERVICE_ACTOR = "service:airflow"
MAXIMUM_PARAMETER_CHARACTERS = 200


def provenance_of(context: Context) -> Provenance:
    """Which try of which task it is."""
    ti = context["ti"]
    mapped = f"[{ti.map_index}]" if ti.map_index is not None and ti.map_index >= 0 else ""
    return Provenance(
        SERVICE_ACTOR, f"task {ti.dag_id}.{ti.task_id}{mapped} run {ti.run_id} try {ti.try_number}"
    )


def asked_by(context: Context) -> Provenance:
    """The try of the task; its actor is the Airflow user where a person started the run."""
    task, user = provenance_of(context), triggering_user(context)
    return Provenance(f"user:{user}", task.cause) if user else task


def run_of(context: Context) -> str:
    """The DAG's id and the run's, as the log names a run."""
    ti = context["ti"]
    return f"{ti.dag_id}/{ti.run_id}"


def parameters_of(context: Context) -> dict[str, str]:
    """What the run was given, as text: what a person or another program set, no defaults."""
    conf = getattr(context.get("dag_run"), "conf", None) or {}
    return {str(name): _shortened(value) for name, value in sorted(conf.items())}


def _shortened(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text[:MAXIMUM_PARAMETER_CHARACTERS]


def triggering_user(context: Context) -> str | None:
    """The Airflow user who started the run; None where the schedule did."""
    return getattr(context.get("dag_run"), "triggering_user_name", None)


@contextmanager
def failing_for_good(sat_conn_id: str) -> Iterator[None]:
    """Trouble that a retry cannot cure fails the task at once, with its reason; any other is raised as it is.

    :raises AirflowFailException: for such trouble of the pipeline, the books or SAT.
    """
    try:
        yield
    except (PipelineError, ReconciliationError) as error:
        if not error.is_worth_a_retry:
            raise AirflowFailException(str(error)) from error
        raise
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


def require_account(sat_conn_id: str, owner: str, what: str) -> None:
    """See to it that a connection is that of the account whose order or batch it is.

    SAT knows an order by its own account alone: asked for it on behalf of another one, it says that there is
    no such order, which would look like leave to send it again.

    :param owner: the account's name in the log.
    :param what: the order or batch, for the error.
    :raises AirflowFailException: when it is the connection of another account.
    """
    account = SATHook(sat_conn_id).settings().account
    if owner != account:
        raise AirflowFailException(
            f"{what} belongs to account {owner!r}; connection {sat_conn_id} is account {account!r}"
        )


def account_that_can_pay(sat_conn_id: str) -> str:
    """The name of a connection's account, once it is sure that its orders could be sent and could end.

    :raises AirflowFailException: when a key is missing, naming the field.
    """
    settings = SATHook(sat_conn_id).settings()
    for field, key in (("private_key", settings.signer), ("sat_public_keys", settings.verifier)):
        if key is None:
            raise AirflowFailException(
                f"connection {sat_conn_id!r}, field {field}: found no key, expected one (or its path): "
                "without it no checkout can be signed and no final status verified"
            )
    return settings.account


def refuse_unknown_parameters(conf: Mapping[str, Any] | None, known: Iterable[str]) -> None:
    """Airflow passes over a parameter that it does not know; a misspelled limit would then be no limit.

    :raises AirflowFailException: naming the parameter, and the one that was probably meant.
    """
    names = sorted(known)
    for name in conf or {}:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise AirflowFailException(
                f"parameter {name!r}: found no such parameter{hint}; expected one of {', '.join(names)}"
            )
