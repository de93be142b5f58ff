"""Rows that every store can sum: the state of a sent order after each event, and what an order counts with.

The store keeps a row for each event (``sat.order_movements``). Closing a day reads these rows and compares
positions and times. Only :func:`sat_hook.domain.order.evolve` decides what an event does to an order's state,
price or charge.

The store also keeps a row beside the order's document. SQL only adds rows and compares times. This module and
the functions that it calls decide what an order takes from limits and from its account's deposit.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from sat_hook.domain import order_events as happened
from sat_hook.domain.event_record import Event, RecordedEvent, registered_events
from sat_hook.domain.funds import is_reserved, outstanding_until, refundable_until
from sat_hook.domain.guards import amount_of, counted_at, counts
from sat_hook.domain.order import Order, OrderState, evolve
from sat_hook.domain.rupiah import is_amount

MARK_DIGITS = 15
"""The number of hexadecimal digits of an event's digest that are kept, as one 60-bit number."""

_REMARKS = (
    happened.StatusNotFound,
    happened.EvidenceContradicted,
    happened.AmountUnknown,
    happened.ReversalDoubted,
    happened.StatusMismatched,
)


class EndProof(StrEnum):
    """The proof of an order's end."""

    NONE = "none"
    SIGNED = "signed"
    BY_OPERATOR = "by operator"
    REJECTED = "rejected"


class OrderMovement(NamedTuple):
    """An order after one of its events. Rupiah and UTC.

    :param sent_at: when it was first sent.
    :param charged_rupiah: SAT's charge; None until SAT has sent an amount.
    :param is_debited: SAT has confirmed that it took the money, even if it was refunded.
    :param contradicts: the event is signed evidence that fits no transition.
    :param is_remark: the event adds information but does not change the order's state.
    :param succeeded_rupiah: the amount of a signed Success; 0 for every other event.
    """

    state: OrderState
    end_proof: EndProof
    sent_at: datetime | None
    quote_rupiah: int
    charged_rupiah: int | None
    admin_fee_rupiah: int
    partner_fee_rupiah: int
    succeeded_rupiah: int
    is_debited: bool
    is_doubted: bool
    is_mismatched: bool
    contradicts: bool
    is_remark: bool


class PlacedMovement(NamedTuple):
    """A movement with the position and time of its event in the log."""

    position: int
    request_id: str
    occurred_at: datetime
    mark: int
    movement: OrderMovement

    def row(self) -> dict[str, Any]:
        """The row for ``sat.order_movements``."""
        row = self._asdict()
        del row["movement"]
        return row | self.movement._asdict()


def movement_of(after: Order, event: Event) -> OrderMovement | None:
    """The row of ``event``, with ``after`` as the order's new state; None for an unsent order's event."""
    if not isinstance(event, happened.SentOrderEvent):
        return None
    named = event.sales_price_rupiah if isinstance(event, happened.OrderSucceeded) else None
    state = after.state
    # Positional arguments: every append makes these, and keyword arguments take twice the time.
    return OrderMovement(
        state,
        _end_proof(after) if state.is_signed_end else EndProof.NONE,
        after.first_sent_at,
        after.quote_rupiah or 0,
        after.charged_rupiah,
        after.admin_fee_rupiah or 0,
        after.partner_fee_rupiah or 0,
        named if named is not None and is_amount(named) else 0,
        after.debit_proven_at is not None,
        after.doubted_at is not None,
        after.mismatch is not None,
        isinstance(event, happened.EvidenceContradicted),
        isinstance(event, _REMARKS),
    )


def fold_with_movements(
    request_id: str, events: Iterable[RecordedEvent]
) -> tuple[Order | None, list[PlacedMovement]]:
    """The order after all of its events, and the movements of these events."""
    order: Order | None = None
    movements: list[PlacedMovement] = []
    for recorded in events:
        event = recorded.event
        order = evolve(order, request_id, event, recorded.occurred_at)
        if (movement := movement_of(order, event)) is not None:
            mark = mark_of(recorded.digest)
            movements.append(
                PlacedMovement(recorded.position, request_id, recorded.occurred_at, mark, movement)
            )
    return order, movements


def mark_of(digest: str) -> int:
    """The start of an event's digest as the 60-bit number of its row."""
    return int(digest[:MARK_DIGITS], 16)


def moving_types() -> list[str]:
    """The names of the event types that become rows."""
    events = registered_events()
    return sorted({name for (name, _), kind in events.items() if issubclass(kind, happened.SentOrderEvent)})


def _end_proof(order: Order) -> EndProof:
    if order.ended_by_operator:
        return EndProof.BY_OPERATOR
    return EndProof.SIGNED if order.has_signed_end else EndProof.REJECTED


class OrderSums(NamedTuple):
    """The numbers of one order. Rupiah and UTC.

    :param committed_rupiah: the amount with which the order counts.
    :param is_reservable: funds are reserved for it as soon as its batch's reservation reaches its row.
    :param outstanding_until: a deposit observed by then may not show its debit; None when it takes nothing.
    :param refundable_until: until when a refund may still be to come; None when there can be none.
    :param counted_at: since when it counts in limits; None while it does not.
    """

    committed_rupiah: int
    is_reservable: bool
    outstanding_until: datetime | None
    refundable_until: datetime | None
    counted_at: datetime | None


def sums_of(order: Order) -> OrderSums:
    """The sums of the order in its current state."""
    return OrderSums(
        committed_rupiah=amount_of(order),
        is_reservable=is_reserved(order, order.row_number),
        outstanding_until=outstanding_until(order),
        refundable_until=refundable_until(order),
        counted_at=counted_at(order) if counts(order) else None,
    )
