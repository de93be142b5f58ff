"""The values that a run or a task was given, as text that is rendered when the task runs.

:mod:`sat_hook.application` enforces the account's rules. A client number and the extra fields of an order are
not template fields, because Airflow stores and shows those of every run. The task itself renders them, and
they are stored only in the order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException

from sat_hook.domain.account_rules import TIERS
from sat_hook.domain.identity import request_id_of
from sat_hook.hooks.sat_connection import GUARD_FIELDS
from sat_hook.presentation.hints import did_you_mean

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
    text = text_or_none(value)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()):
        raise AirflowFailException(f"parameter {name}: found {text!r}; expected a whole number from 0 on")
    return int(text)


def order_meant(account: str, order_id: str | None, request_id: str | None) -> str:
    """The request id, from one of a task's two parameters.

    :raises AirflowFailException: when both or none are given.
    """
    order_id, request_id = text_or_none(order_id), text_or_none(request_id)
    if (order_id is None) == (request_id is None):
        raise AirflowFailException(
            f"found order_id {order_id!r} and request_id {request_id!r}; expected one of them"
        )
    return request_id or request_id_of(account, order_id or "")


def text_or_none(value: object) -> str | None:
    """A rendered text; None when it is empty or ``None``."""
    text = "" if value is None else str(value).strip()
    return None if text in ("", "None") else text


def rendered_fields(
    operator: BaseOperator, fields: Mapping[str, str], context: Context
) -> tuple[tuple[str, str], ...]:
    """An order's extra fields, by name."""
    rendered = operator.render_template(dict(fields), context)
    return tuple(sorted((str(name), str(value).strip()) for name, value in rendered.items()))


def refuse_unknown_parameters(conf: Mapping[str, Any] | None, known: Iterable[str]) -> None:
    """Refuse unknown parameters. Airflow ignores them, so a misspelled limit would have no effect.

    :raises AirflowFailException: naming the parameter, and the one probably meant.
    """
    names = sorted(known)
    for name in conf or {}:
        if name not in names:
            raise AirflowFailException(
                f"parameter {name!r}: found no such parameter{did_you_mean(name, names)}; "
                f"expected one of {', '.join(names)}"
            )
