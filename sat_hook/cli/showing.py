"""How amounts, moments, states and customers' numbers look to people."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from sat_hook.domain.order import OrderState

WIB = timezone(timedelta(hours=7), "WIB")
"""Jakarta's time, which the business day is kept in; Indonesia has no summer time."""

STYLES: dict[OrderState, str] = {
    OrderState.RECEIVED: "dim",
    OrderState.REJECTED: "yellow",
    OrderState.QUOTED: "cyan",
    OrderState.HELD: "yellow",
    OrderState.CANCELLED: "yellow",
    OrderState.SUBMITTING: "blue",
    OrderState.PENDING: "blue",
    OrderState.UNKNOWN: "magenta",
    OrderState.ESCALATED: "magenta",
    OrderState.SUCCEEDED: "green",
    OrderState.FAILED: "red",
    OrderState.REVERSED: "red",
}
"""A colour for every state of an order."""

_KEPT_AT_START, _KEPT_AT_END = 4, 2
_LEAST_MASKED = 4


def rupiah(amount: int | None) -> str:
    """``Rp52.000``, as it is written where the money is; a dash when there is no amount."""
    return "-" if amount is None else f"Rp{amount:,}".replace(",", ".")


def moment(at: datetime) -> str:
    """A moment in Jakarta's time, to the millisecond."""
    return at.astimezone(WIB).isoformat(" ", "milliseconds").removesuffix("+07:00")


def masked(number: str) -> str:
    """A customer's number that can be recognised by who knows it, and by nobody else."""
    hidden = len(number) - _KEPT_AT_START - _KEPT_AT_END
    if hidden < _LEAST_MASKED:
        return "*" * len(number)
    return number[:_KEPT_AT_START] + "*" * hidden + number[-_KEPT_AT_END:]
