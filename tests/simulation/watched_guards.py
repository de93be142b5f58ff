"""Invariants of guards, limits, approvals and funds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta

from sat_hook.domain.event_record import Provenance
from sat_hook.domain.order import Order, OrderState
from sat_hook.domain.people import is_same_person
from tests.simulation.knowledge import Knowledge, Known


class WatchedGuards(Knowledge):
    """Checks what may be sent."""

    def _check_approver(self, batch_id: str, provenance: Provenance) -> None:
        self.require(provenance.actor.startswith("user:"), "approved by no user", batch_id)
        maker = self._makers.get(batch_id, "")
        self.require(not is_same_person(provenance.actor, maker), "approved by its maker", batch_id)
        self._signers[batch_id].add(provenance.actor)

    def _check_signers(self, batch_id: str) -> None:
        persons = self._asked_for[batch_id].persons
        self.require(len(self._signers[batch_id]) >= persons, "approved by too few people", batch_id)

    def _check_guards(self, request_id: str, known: Known, price_rupiah: int) -> None:
        """An order that a person released is that person's decision; all others keep to the limits."""
        order, rules = known.order, self.weather.rules
        assert order is not None
        self.require(order.admitted_at is not None, "an intent that no guard let through", request_id)
        if order.batch_id in self._asked_for:
            self.require(
                order.approved_rupiah is not None and price_rupiah <= order.approved_rupiah,
                "an intent without an approval",
                request_id,
            )
        if known.was_released:
            return
        # Of two twins it is enough that a person released one, knowing of the other.
        kept = [
            other.order
            for key, other in self.known.items()
            if key != request_id
            and other.order is not None
            and not other.was_released
            # An order that SAT called failed freed its place; that it was paid after all is SAT's doing.
            and not other.was_given_back
            and _may_cost(other.order)
        ]
        business = order.product_code, order.client_number
        twins = [other for other in kept if (other.product_code, other.client_number) == business]
        self.require(not twins, "an intent for business that is under way or done already", request_id)
        limit = rules.order_limit_rupiah
        self.require(limit is None or price_rupiah <= limit, "an intent above the order's limit", request_id)
        batch = [other for other in kept if other.batch_id == order.batch_id]
        self._check_usage(request_id, price_rupiah, batch, rules.batch_limit_orders, rules.batch_limit_rupiah)
        if order.admitted_at is not None:
            day = _day_of(order.admitted_at)
            day_orders = [o for o in kept if o.admitted_at is not None and _day_of(o.admitted_at) == day]
            limits = rules.day_limit_orders, rules.day_limit_rupiah
            self._check_usage(request_id, price_rupiah, day_orders, *limits)

    def _check_usage(
        self,
        request_id: str,
        price_rupiah: int,
        others: Sequence[Order],
        orders: int | None,
        rupiah: int | None,
    ) -> None:
        self.require(orders is None or len(others) < orders, "an intent above a limit of orders", request_id)
        used = sum(_at_least(other) for other in others)
        self.require(
            rupiah is None or used + price_rupiah <= rupiah, "an intent above a limit of rupiah", request_id
        )

    def _committed(self, included_before: datetime) -> Callable[[Known], int]:
        """Return what each order may still take from a saldo that includes everything before a moment."""

        def rupiah(known: Known) -> int:
            order = known.order
            if order is None:
                return 0
            if order.state is OrderState.QUOTED:
                counts = self.has_funds(order)
            elif order.state.was_never_sent:
                counts = False
            elif order.debit_proven_at is not None:
                counts = order.debit_proven_at >= included_before
            else:
                counts = not order.state.is_final
            return max(order.quote_rupiah or 0, order.charged_rupiah or 0) if counts else 0

        return rupiah


def _may_cost(order: Order) -> bool:
    """Whether an order has been sent and may cost money."""
    if order.attempt == 0 or order.state.was_never_sent:
        return False
    return order.state not in (OrderState.FAILED, OrderState.REVERSED)


def _at_least(order: Order) -> int:
    """Return the least an order uses of a limit: its quote, even if a reply names another amount.

    A charge above the quote is SAT's doing, and may come after the guards have checked the next order.
    """
    return order.quote_rupiah or 0


def _day_of(moment: datetime) -> date:
    """The business day in Jakarta."""
    return (moment + timedelta(hours=7)).date()
