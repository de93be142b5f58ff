"""What a run asks for before anything is sent, read from its parameters and its account's connection.

The account's own rules stand above both (:mod:`sat_hook.pipeline.account_rules`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException

from sat_hook.domain.batch import Batch
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.guards import AccountRules, GuardRules
from sat_hook.hooks.application_database import ApplicationHook
from sat_hook.hooks.sat import SATHook
from sat_hook.hooks.sat_connection import GUARD_FIELDS
from sat_hook.operators.run_context import parameters_of, run_of
from sat_hook.pipeline.account_rules import AskedRun, rules_of_account, start_batch_run
from sat_hook.pipeline.approval import ApprovalPolicy, approval_is_needed
from sat_hook.pipeline.errors import RunRefusedError
from sat_hook.pipeline.execution import Gate

APPROVAL_FIELD = "approval_over_rupiah"
RUN_RULES = (*GUARD_FIELDS, APPROVAL_FIELD)
"""The parameters of a run that are rules."""

__all__ = [
    "GUARD_FIELDS",
    "RUN_RULES",
    "approval_policy",
    "asked_run",
    "gate_of",
    "guard_rules_of",
    "limit_of",
    "start_run",
]


def asked_run(sat_conn_id: str, of_run: Mapping[str, Any], context: Context) -> AskedRun:
    """What the run of ``context`` asks for.

    :param of_run: the run's own rules by name, as parameters or their rendered text.
    """
    return AskedRun(
        run=run_of(context),
        connection=sat_conn_id,
        of_connection=SATHook(sat_conn_id).asked_rules(),
        of_run=_limits_of(of_run, RUN_RULES),
        parameters=parameters_of(context),
    )


def start_run(application: ApplicationHook, batch_id: str, asked: AskedRun, by: Provenance) -> None:
    """Record who started the run with which rules.

    :raises AirflowFailException: when it is looser than the account's rules; nothing was done.
    """
    try:
        start_batch_run(application.handler, batch_id, asked, by)
    except RunRefusedError as error:
        raise AirflowFailException(str(error)) from error


def gate_of(application: ApplicationHook, batch: Batch, policy: ApprovalPolicy, rules: AccountRules) -> Gate:
    """What an order of the batch must have behind it, by the run's rules and the account's."""
    rules = rules.stricter(rules_of_account(application.store, batch.account))
    return Gate(True, approval_is_needed(application.store, batch, policy), rules.guards.limits_the_day)


def approval_policy(
    sat_conn_id: str, over_rupiah: int | str | None, approve_held: bool | str = False
) -> ApprovalPolicy:
    """The stricter of what the account's connection and the run ask for."""
    of_run = AccountRules(approval_over_rupiah=limit_of("approval_over_rupiah", over_rupiah))
    rules = SATHook(sat_conn_id).rules().stricter(of_run)
    return ApprovalPolicy(rules.approval_over_rupiah, str(approve_held).strip().lower() == "true")


def guard_rules_of(values: Mapping[str, Any]) -> GuardRules:
    """A run's rules from its rendered parameters.

    :raises AirflowFailException: for a name that is no rule, or a value that is no number.
    """
    read = _limits_of(values, GUARD_FIELDS)
    # A run that says nothing of duplicates leaves it to the account.
    read["duplicate_days"] = read.get("duplicate_days") or 0
    return GuardRules(**read)  # type: ignore[arg-type]


def _limits_of(values: Mapping[str, Any], known: Sequence[str]) -> dict[str, int | None]:
    unknown = sorted(values.keys() - set(known))
    if unknown:
        raise AirflowFailException(f"rules: found {unknown[0]!r}; expected one of {', '.join(known)}")
    return {name: limit_of(name, value) for name, value in values.items()}


def limit_of(name: str, value: object) -> int | None:
    """A limit as a parameter or its rendered text; nothing, or ``None``, is no limit.

    :raises AirflowFailException: when it is no whole number from 0 on.
    """
    text = "" if value is None else str(value).strip()
    if text in ("", "None"):
        return None
    if not (text.isascii() and text.isdigit()):
        raise AirflowFailException(f"parameter {name}: found {text!r}; expected a whole number from 0 on")
    return int(text)
