"""The states of an order. The transitions are in :mod:`sat_hook.domain.order`."""

from __future__ import annotations

from enum import StrEnum


class OrderState(StrEnum):
    """The state of an order."""

    RECEIVED = "received"
    REJECTED = "rejected"
    QUOTED = "quoted"
    HELD = "held"
    CANCELLED = "cancelled"
    SUBMITTING = "submitting"
    PENDING = "pending"
    UNKNOWN = "unknown"
    ESCALATED = "escalated"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REVERSED = "reversed"

    @property
    def is_final(self) -> bool:
        """True when the pipeline has nothing left to do (a later signed status is still recorded)."""
        return self in _FINAL

    @property
    def is_signed_end(self) -> bool:
        """True in the states that a signed status may have set as the end."""
        return self in _SIGNED_ENDS

    @property
    def is_in_flight(self) -> bool:
        """True while money may be moving and SAT must be asked."""
        return self in _IN_FLIGHT

    @property
    def was_never_sent(self) -> bool:
        """True in the states in which no transmission can have happened."""
        return self in _NEVER_SENT


ENDED_UNSENT = (OrderState.REJECTED, OrderState.CANCELLED)
"""The ends of orders that were never sent."""

ENDED_UNPAID = (OrderState.FAILED, OrderState.REVERSED)
"""The ends of orders that were sent, in which nothing is paid, or it was paid back."""

NOT_PAID = (*ENDED_UNSENT, *ENDED_UNPAID)
"""The ends in which nothing is paid, or it was paid back."""

_FINAL = frozenset(
    {
        OrderState.REJECTED,
        OrderState.CANCELLED,
        OrderState.SUCCEEDED,
        OrderState.FAILED,
        OrderState.REVERSED,
    }
)
_SIGNED_ENDS = frozenset({OrderState.SUCCEEDED, OrderState.FAILED, OrderState.REVERSED})
_IN_FLIGHT = frozenset({OrderState.SUBMITTING, OrderState.PENDING, OrderState.UNKNOWN})
_NEVER_SENT = frozenset(
    {
        OrderState.RECEIVED,
        OrderState.REJECTED,
        OrderState.QUOTED,
        OrderState.HELD,
        OrderState.CANCELLED,
    }
)
