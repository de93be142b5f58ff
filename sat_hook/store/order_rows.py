"""An order as a row of ``sat.orders``: a column for each member that most orders have, and a document.

The document holds the other members. The rows that the store reads (``sat.order_rows``) have
:data:`ORDER_COLUMNS` in this order, then the document and the time of the last change. Appends write the same
columns, the document and the members of ``OrderSums``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from pydantic_core import to_json

from sat_hook.domain.order import BLANK, Order, OrderState, with_members
from sat_hook.domain.order_events import QuoteSource
from sat_hook.domain.order_movements import OrderSums, sums_of

SEPARATOR = "\x1f"
"""Between the values of a column in an append."""
NO_TEXT = "\x1e"
"""Stands for NULL where a text may be empty."""
_UNSAFE = re.compile(f"[{NO_TEXT}{SEPARATOR}]")

_TEXTS = (
    "request_id",
    "state",
    "account",
    "order_id",
    "batch_id",
    "product_code",
    "client_number",
    "payload_digest",
    "quote_source",
    "reason_code",
    "checkout_body",
    "reported_status",
    "evidence_digest",
)
_NUMBERS = (
    "version",
    "row_number",
    "attempt",
    "amount_rupiah",
    "list_price_rupiah",
    "quote_rupiah",
    "charged_rupiah",
    "admin_fee_rupiah",
    "partner_fee_rupiah",
    "is_inquiry",
    "must_be_reserved_again",
    "may_have_arrived",
    "ended_by_operator",
)
_TIMES = (
    "quote_valid_until",
    "admitted_at",
    "send_before",
    "settled_after",
    "first_sent_at",
    "debit_proven_at",
    "evidence_at",
)
ORDER_COLUMNS = (*_TEXTS, *_NUMBERS, *_TIMES)
_UNSET = {name: BLANK.__dict__[name] for name in Order.model_fields if name not in ORDER_COLUMNS}
_STATES = {state.value: state for state in OrderState}
_SOURCES: dict[str | None, QuoteSource | None] = {None: None} | {s.value: s for s in QuoteSource}
_BESIDE = {*OrderSums._fields, "changed_at", "document"}


def order_of(row: Sequence[Any]) -> Order:
    """The order of a row of ``sat.order_rows``.

    :raises ValidationError: the row holds no order.
    """
    members = dict(zip(ORDER_COLUMNS, row, strict=False))
    document, state, source = row[len(ORDER_COLUMNS)], members["state"], members["quote_source"]
    if document or state not in _STATES or source not in _SOURCES:
        return Order.model_validate({**_UNSET, **members, **(document or {})})
    members["state"], members["quote_source"] = _STATES[state], _SOURCES[source]
    return with_members(BLANK, members)


def order_texts(order: Order) -> tuple[str, ...]:
    """The row of an order for an append, as texts."""
    members = order.__dict__
    others = _others_of(members)
    texts = [NO_TEXT if (text := members[name]) is None else text for name in _TEXTS]
    if any(map(_UNSAFE.search, texts)):
        for place, name in enumerate(_TEXTS):
            if (text := members[name]) is not None and _UNSAFE.search(text):
                texts[place], others[name] = _UNSAFE.sub("\ufffd", text), text
    numbers = ["" if (number := members[name]) is None else str(number) for name in _NUMBERS]
    document = to_json(others).decode("utf-8") if others else ""
    times = map(_text_of_time, map(members.__getitem__, _TIMES))
    committed_rupiah, is_reservable, *moments = sums_of(order)
    sums = (str(committed_rupiah), str(is_reservable), *map(_text_of_time, moments))
    return (*texts, *numbers, *times, document, *sums)


def order_row(order: Order, changed_at: datetime) -> dict[str, Any]:
    """The row of an order by the names of its columns."""
    members = order.__dict__
    row = {name: members[name] for name in ORDER_COLUMNS} | sums_of(order)._asdict()
    return row | {"document": _others_of(members) or None, "changed_at": changed_at}


def members_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """The members of an order that a row has, whichever release filled it. A member that it lacks is unset.

    :param row: the columns by name, as JSON has their values.
    """
    stored = {name: value for name, value in row.items() if name not in _BESIDE} | (row["document"] or {})
    known = {name: value for name, value in stored.items() if name in Order.model_fields}
    try:
        members = Order.model_validate({**_UNSET, **known}).model_dump()
    except ValidationError:
        return stored
    has = {name: value for name, value in members.items() if value is not None or name in known}
    return stored | has


def _others_of(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, unset in _UNSET.items() if (value := members[name]) != unset}


def _text_of_time(moment: datetime | None) -> str:
    return "" if moment is None else moment.isoformat()
