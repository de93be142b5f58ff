"""What tasks for single orders are given, as values: rendered when they run.

A client number and the extra fields of an order are no template fields: Airflow keeps and shows those of
every run. So they are rendered in the task itself and kept nowhere but in the order.
"""

from __future__ import annotations

from collections.abc import Mapping

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException

from sat_hook.domain.identity import request_id_of


def order_meant(account: str, order_id: str | None, request_id: str | None) -> str:
    """The request id that a task means by one of two parameters.

    :raises AirflowFailException: when both or none are given.
    """
    order_id, request_id = text_or_none(order_id), text_or_none(request_id)
    if (order_id is None) == (request_id is None):
        raise AirflowFailException(
            f"found order_id {order_id!r} and request_id {request_id!r}; expected one of them"
        )
    return request_id or request_id_of(account, order_id or "")


def text_or_none(value: object) -> str | None:
    """A rendered text; nothing, or ``None``, is nothing."""
    text = "" if value is None else str(value).strip()
    return None if text in ("", "None") else text


def rendered_fields(
    operator: BaseOperator, fields: Mapping[str, str], context: Context
) -> tuple[tuple[str, str], ...]:
    """An order's extra fields, by name."""
    rendered = operator.render_template(dict(fields), context)
    return tuple(sorted((str(name), str(value).strip()) for name, value in rendered.items()))
