"""How amounts, moments, states and customers' numbers look to people."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

WIB = timezone(timedelta(hours=7), "WIB")
"""Jakarta's time, which the business day is kept in; Indonesia has no summer time."""

STYLES: dict[str, str] = {
    "received": "dim",
    "rejected": "yellow",
    "quoted": "cyan",
    "held": "yellow",
    "cancelled": "yellow",
    "submitting": "blue",
    "pending": "blue",
    "unknown": "magenta",
    "escalated": "magenta",
    "succeeded": "green",
    "failed": "red",
    "reversed": "red",
}
"""A colour for every state of an order, by its name: showing the help must not load the domain."""

MAXIMUM_LISTED = 1000
"""Lines of a list that a person asks for."""

_KEPT_AT_START, _KEPT_AT_END = 4, 2
_LEAST_MASKED = 4


def rupiah(amount: int | None) -> str:
    """``Rp52,000``; a dash when there is no amount."""
    return "-" if amount is None else f"Rp{amount:,}"


def moment(at: datetime) -> str:
    """A moment in Jakarta's time, to the millisecond."""
    return at.astimezone(WIB).isoformat(" ", "milliseconds").removesuffix("+07:00")


def masked(number: str) -> str:
    """A customer's number that can be recognised by who knows it, and by nobody else."""
    hidden = len(number) - _KEPT_AT_START - _KEPT_AT_END
    if hidden < _LEAST_MASKED:
        return "*" * len(number)
    return number[:_KEPT_AT_START] + "*" * hidden + number[-_KEPT_AT_END:]
