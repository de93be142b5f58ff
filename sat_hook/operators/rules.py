"""What a run asks for before anything is sent, read from its parameters and its account's connection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk.exceptions import AirflowFailException

from sat_hook.domain.guards import AccountRules, GuardRules
from sat_hook.hooks.sat import SATHook
from sat_hook.hooks.sat_connection import GUARD_FIELDS
from sat_hook.pipeline.approval import ApprovalPolicy

__all__ = ["GUARD_FIELDS", "approval_policy", "guard_rules_of", "limit_of"]


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
    unknown = sorted(values.keys() - set(GUARD_FIELDS))
    if unknown:
        raise AirflowFailException(f"rules: found {unknown[0]!r}; expected one of {', '.join(GUARD_FIELDS)}")
    read = {name: limit_of(name, value) for name, value in values.items()}
    if read.get("duplicate_days") is None:
        read.pop("duplicate_days", None)
    return GuardRules(**read)  # type: ignore[arg-type]


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
