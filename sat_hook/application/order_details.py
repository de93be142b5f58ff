"""Orders as lists and their own pages show them, and the history of an order or a batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sat_hook.domain.event_record import RecordedEvent
from sat_hook.domain.masking import MASK, masked_members, masked_number, masked_person
from sat_hook.domain.order import Order, OrderState
from sat_hook.domain.prices import PricePeriod
from sat_hook.store.alerts import ToldAlert
from sat_hook.store.callbacks import CallbackSeen
from sat_hook.store.order_lists import FoundOrder, KeptEvidence


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRow:
    """An order as a list shows it. Rupiah.

    :param client_number: masked, unless the person may see numbers.
    :param reason: why it stands so, in the pipeline's or SAT's words; likewise.
    :param amount_rupiah: the amount in the submitted row; None when there was none.
    :param changed_at: when its last event occurred.
    """

    request_id: str
    order_id: str
    batch_id: str
    file_name: str
    row_number: int
    account: str
    product_code: str
    client_number: str
    state: OrderState
    reason_code: str | None
    reason: str | None
    amount_rupiah: int | None
    quote_rupiah: int | None
    charged_rupiah: int | None
    changed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """One event, for pages to put into words.

    :param kind: the event's type, for example ``CheckoutRequested``.
    :param actor: ``user:NAME``, or the service that did it.
    :param parameters: the event's members, without customers' data.
    :param digest: of the event as it is stored.
    """

    position: int
    version: int
    kind: str
    at: datetime
    actor: str
    cause: str
    parameters: Mapping[str, Any]
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderDetails:
    """An order with all that is known about it.

    :param maker: the user who submitted its batch; None when a service did.
    :param evidence: the signed statuses that are kept, without their contents.
    :param price: how its product was listed when the order was sent, or else received; None when it was not.
    """

    row: OrderRow
    maker: str | None
    history: tuple[HistoryEntry, ...]
    evidence: tuple[KeptEvidence, ...]
    callbacks: tuple[CallbackSeen, ...]
    price: PricePeriod | None
    alerts: tuple[ToldAlert, ...]


def order_row(found: FoundOrder, *, with_number: bool) -> OrderRow:
    """The row of an order.

    :param with_number: whether the client's number is shown.
    """
    order = found.order
    return OrderRow(
        request_id=order.request_id,
        order_id=order.order_id,
        batch_id=order.batch_id,
        file_name=found.file_name,
        row_number=order.row_number,
        account=order.account,
        product_code=order.product_code,
        client_number=order.client_number if with_number else masked_number(order.client_number),
        state=order.state,
        reason_code=order.reason_code,
        reason=order.reason_detail if with_number else _masked_reason(order),
        amount_rupiah=order.amount_rupiah,
        quote_rupiah=order.quote_rupiah,
        charged_rupiah=order.charged_rupiah,
        changed_at=found.changed_at,
    )


def _masked_reason(order: Order) -> str | None:
    if order.reason_detail is None:
        return None
    # A short number is not a long run of digits.
    return masked_person(order.reason_detail.replace(order.client_number, MASK))


def history_of(
    events: Iterable[RecordedEvent], most_characters: int | None = None
) -> tuple[HistoryEntry, ...]:
    """Events as a history, customers' data masked.

    :param most_characters: of an event with a longer text only the members at its beginning are read.
    """
    return tuple(
        HistoryEntry(
            position=recorded.position,
            version=recorded.version,
            kind=recorded.type_name,
            at=recorded.occurred_at,
            actor=recorded.provenance.actor,
            cause=recorded.provenance.cause,
            parameters=parameters_of(recorded, most_characters),
            digest=recorded.digest,
        )
        for recorded in events
    )


def parameters_of(recorded: RecordedEvent, most_characters: int | None = None) -> dict[str, Any]:
    """The members of an event, without customers' data; empty when its text cannot be read."""
    try:
        members = masked_members(recorded.data, most_characters)
    except ValueError:
        return {}
    return members if isinstance(members, dict) else {}
