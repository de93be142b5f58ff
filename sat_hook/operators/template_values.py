"""The values given to tasks for single orders, rendered when they run.

A client number and the extra fields of an order are not template fields, because Airflow stores and shows
those of every run. The task itself renders them, and they are stored only in the order.
"""

from __future__ import annotations

from collections.abc import Mapping

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException

from sat_hook.domain.identity import request_id_of


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
