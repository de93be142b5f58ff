"""What a command comes to: the events to append, or the named refusal that changes nothing."""

from __future__ import annotations

from sat_hook.domain.event import Event
from sat_hook.domain.order import Order, Refusal, RefusalReason

Decision = tuple[Event, ...] | Refusal


def refuse(reason: RefusalReason, detail: str = "") -> Refusal:
    """A command that changes nothing, and why."""
    return Refusal(reason=reason, detail=detail)


def wrong_state(order: Order) -> Refusal:
    """The refusal of a command that the order's state does not allow."""
    return refuse(RefusalReason.WRONG_STATE, f"the order is {order.state.value}")
