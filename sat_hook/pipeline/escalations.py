"""Escalated orders as a work list for people: no customer's number, no voucher."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from sat_hook.domain.business_day import in_wib
from sat_hook.domain.order import Order, OrderState
from sat_hook.pipeline.single_order import reason_of
from sat_hook.store.event_store import EventStore, OrderSlice, each_order

LISTED_ORDERS = 50


@dataclass(frozen=True, slots=True)
class EscalatedOrders:
    """The escalated orders of a batch: the total count, and a list of the first ones."""

    orders: int
    listed: tuple[Order, ...]

    @property
    def order_ids(self) -> list[str]:
        """The submitter's own ids of the listed orders."""
        return [order.order_id for order in self.listed]

    def lines(self) -> Iterator[str]:
        """A line for each listed order, by row, followed by what to do."""
        for order in self.listed:
            yield in_words(order)
        if self.orders > len(self.listed):
            yield f"and {self.orders - len(self.listed):,} more: see the result file"
        if self.orders:
            yield "decide each one by: sat order resolve REQUEST_ID --as succeeded|failed|resend --reason WHY"


def escalated_orders(store: EventStore, batch_id: str) -> EscalatedOrders:
    """The escalated orders of a batch.

    :raises StoreUnavailableError: when the database is away.
    """
    escalated = each_order(store, OrderSlice(batch_id, (OrderState.ESCALATED,)))
    listed = tuple(islice(escalated, LISTED_ORDERS))
    return EscalatedOrders(len(listed) + sum(1 for _ in escalated), listed)


def in_words(order: Order) -> str:
    """One line: the order, when it was sent, what SAT last said, and why it was escalated."""
    sent = order.first_sent_at
    parts = [
        f"row {order.row_number}: order {order.order_id!r}, {order.product_code}",
        f"request id {order.request_id}",
        f"sent {in_wib(sent)} WIB" if sent else "never sent",
        f"SAT last said {order.reported_status}" if order.reported_status else "SAT never said anything",
    ]
    if order.not_found_at is not None:
        parts.append("SAT said that it does not know it")
    return f"{'; '.join(parts)}; {reason_of(order) or 'no reason given'}"
