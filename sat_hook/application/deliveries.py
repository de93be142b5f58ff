"""Deliveries of a batch's goods: what there is to deliver, and who was given it before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sat_hook.application.batch_standing import BatchQuery, BatchRow
from sat_hook.application.listings import Listings
from sat_hook.application.pages import USUAL_PAGE, Page
from sat_hook.application.rights import Person, Right
from sat_hook.application.service import Service
from sat_hook.domain.order import OrderState
from sat_hook.domain.people import user_named
from sat_hook.pipeline.delivery import GoodsCount, count_goods

MAXIMUM_COUNTED_ORDERS = 2_000
"""The goods of a batch with more paid orders are not counted: counting reads every signed status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A delivery that was made.

    :param orders: whose goods were in the file.
    """

    at: datetime
    user: str
    orders: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliverable:
    """The goods of a batch.

    :param goods: how many there are; None above :data:`MAXIMUM_COUNTED_ORDERS` paid orders.
    :param earlier: the deliveries that were made, the last one first.
    """

    row: BatchRow
    paid: int
    goods: GoodsCount | None
    earlier: tuple[Delivery, ...]


@dataclass(frozen=True, slots=True)
class Deliveries(Service):
    """Reads what may be delivered. :meth:`~sat_hook.application.decisions.Decisions.deliver` delivers it."""

    listings: Listings

    def batches(self, person: Person, *, cursor: str | None = None) -> Page[BatchRow]:
        """Batches with paid orders, the newest first. A page may be short while there is a next one."""
        person.require(Right.DELIVER)
        found = self.listings.batches(BatchQuery(), _viewing(person), cursor=cursor, limit=USUAL_PAGE)
        return Page(tuple(row for row in found.items if _paid(row)), found.next)

    def of_batch(self, batch_id: str, person: Person) -> Deliverable:
        """The goods of one batch.

        :raises BatchNotFoundError: there is no such batch.
        """
        person.require(Right.DELIVER)
        details = self.listings.batch(batch_id, _viewing(person))
        paid = _paid(details.row)
        return Deliverable(
            row=details.row,
            paid=paid,
            goods=count_goods(self.store, batch_id) if paid <= MAXIMUM_COUNTED_ORDERS else None,
            earlier=tuple(
                Delivery(
                    at=entry.at,
                    user=user_named(entry.actor) or entry.actor,
                    orders=entry.parameters.get("orders", 0),
                    reason=entry.parameters.get("reason", ""),
                )
                for entry in reversed(details.history)
                if entry.kind == "GoodsDelivered"
            ),
        )


def _viewing(person: Person) -> Person:
    """The right to deliver includes seeing the batches to deliver from."""
    return Person(person.name, person.rights | {Right.VIEW})


def _paid(row: BatchRow) -> int:
    return row.orders.get(OrderState.SUCCEEDED, 0)
