"""The amounts and times with which an order counts, as one row that every store can sum.

The store keeps the row beside the order's document. SQL only adds rows and compares times. This module and
the functions that it calls decide what an order takes from limits and from its account's deposit.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sat_hook.domain.funds import is_reserved, outstanding_until, refundable_until
from sat_hook.domain.guards import amount_of, counted_at, counts
from sat_hook.domain.order import Order


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
