"""A run's own rules, from its rendered parameters. :mod:`sat_hook.application` enforces the account's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk.exceptions import AirflowFailException

from sat_hook.hooks.sat_connection import GUARD_FIELDS

APPROVAL_FIELD = "approval_over_rupiah"
RUN_RULES = (*GUARD_FIELDS, APPROVAL_FIELD)
"""The parameters of a run that are rules."""

__all__ = ["APPROVAL_FIELD", "GUARD_FIELDS", "RUN_RULES", "limit_of", "limits_of"]


def limits_of(values: Mapping[str, Any], known: Sequence[str] = GUARD_FIELDS) -> dict[str, int | None]:
    """A run's rules by name, from parameters or their rendered text.

    :raises AirflowFailException: for a name that is not ``known``, or a value that is not a number.
    """
    unknown = sorted(values.keys() - set(known))
    if unknown:
        raise AirflowFailException(f"rules: found {unknown[0]!r}; expected one of {', '.join(known)}")
    return {name: limit_of(name, value) for name, value in values.items()}


def limit_of(name: str, value: object) -> int | None:
    """A limit as a parameter or its rendered text; empty or ``None`` means no limit.

    :raises AirflowFailException: when it is not a whole number of at least 0.
    """
    text = "" if value is None else str(value).strip()
    if text in ("", "None"):
        return None
    if not (text.isascii() and text.isdigit()):
        raise AirflowFailException(f"parameter {name}: found {text!r}; expected a whole number from 0 on")
    return int(text)
