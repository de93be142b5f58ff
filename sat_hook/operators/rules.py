"""A run's own rules, from its rendered parameters. :mod:`sat_hook.application` enforces the account's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk.exceptions import AirflowFailException

from sat_hook.domain.account_rules import TIERS
from sat_hook.hooks.sat_connection import GUARD_FIELDS

RUN_RULES = (*GUARD_FIELDS, *TIERS)
"""The parameters of a run that are rules."""

__all__ = ["GUARD_FIELDS", "RUN_RULES", "TIERS", "limit_of", "limits_of", "tiers_of"]


def limits_of(values: Mapping[str, Any], known: Sequence[str] = GUARD_FIELDS) -> dict[str, int | None]:
    """A run's rules by name, from parameters or their rendered text.

    :raises AirflowFailException: for a name that is not ``known``, or a value that is not a number.
    """
    unknown = sorted(values.keys() - set(known))
    if unknown:
        raise AirflowFailException(f"rules: found {unknown[0]!r}; expected one of {', '.join(known)}")
    return {name: limit_of(name, value) for name, value in values.items()}


def tiers_of(operator: object) -> dict[str, int | None]:
    """The tiers of approval that an operator's fields of these names ask for."""
    return {name: limit_of(name, getattr(operator, name)) for name in TIERS}


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
