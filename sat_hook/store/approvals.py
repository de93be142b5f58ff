"""Reads what approvers are shown of a batch: sums by product, new recipients, the batch before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sat_hook.store.batch_lists import FoundBatch
from sat_hook.store.order_lists import FoundOrder
from sat_hook.store.statements import Statements

RECIPIENTS_LOOKED_AT = 1_000
"""Orders of a batch, the dearest, of which new recipients are looked for."""


class ProductAsked(NamedTuple):
    """The orders of one product that would be sent. Rupiah."""

    product_code: str
    orders: int
    total_rupiah: int
    least_rupiah: int
    most_rupiah: int


@dataclass(frozen=True, slots=True)
class NewRecipients:
    """Orders whose client number the account never paid before.

    :param looked_at: how many orders were looked at: at most :data:`RECIPIENTS_LOOKED_AT`, the dearest.
    :param count: how many of them are for a new client number.
    :param orders: the dearest of those.
    """

    looked_at: int
    count: int
    orders: tuple[FoundOrder, ...]


class ApprovalStore(Statements, room="approvals"):
    """Reads with any role that may read."""

    def products(self, batch_id: str, *, with_held: bool) -> list[ProductAsked]:
        """What would be sent, by product; the dearest first.

        :param with_held: whether held orders are part of it.
        """
        rows = self._run(self._sql.products_asked_for, batch_id=batch_id, with_held=with_held)
        return [ProductAsked(*row) for row in rows]

    def new_recipients(self, batch_id: str, account: str, limit: int, *, with_held: bool) -> NewRecipients:
        """Orders that would be sent to client numbers that the account never paid."""
        rows = self._run(
            self._sql.new_recipients,
            batch_id=batch_id,
            account=account,
            with_held=with_held,
            looked=RECIPIENTS_LOOKED_AT,
            limit=limit,
        )
        looked_at, count = rows[0][:2]
        found = [FoundOrder.of(order, file_name) for _, _, file_name, *order in rows if order[0] is not None]
        return NewRecipients(looked_at, count, tuple(found))

    def batch_before(self, found: FoundBatch) -> datetime | None:
        """When the account's batch before this one was submitted; None for its first."""
        before: datetime | None = self._run(
            self._sql.batch_before,
            account=found.batch.account,
            submitted_at=found.submitted_at,
            batch_id=found.batch.batch_id,
        )
        return before
