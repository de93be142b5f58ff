"""Rupiah as text, what counts as an amount, and how much of limits, approvals and funds an order uses. Pure.

SAT may send any number as the price of an order, signed or not. A number that is not a valid amount is
unknown: the event keeps it as text, an alert is raised, and the order counts with its quote.
"""

from __future__ import annotations

NO_BREAK = "\u00a0"
"""The no-break space inside a typeset amount."""


def rupiah(amount: int) -> str:
    """``Rp 4,990,000``: in sentences and in the tables of the command."""
    return f"Rp {amount:,}"


def recorded_rupiah(amount: int) -> str:
    """``Rp4,990,000``: in findings about settlement files: results of closed days have their texts."""
    return f"Rp{amount:,}"


def typeset_rupiah(amount: int) -> str:
    """``Rp 4,990,000`` for a page: with a no-break space and a true minus."""
    return f"{'−' if amount < 0 else ''}Rp{NO_BREAK}{abs(amount):,}"


def true_minus(number: str) -> str:
    """A number with a typographic minus instead of a hyphen."""
    return number.replace("-", "−")


MAXIMUM_AMOUNT_RUPIAH = 10**12
"""The highest valid amount of one order. Sums of nine million such orders fit into 64 bits."""


def is_amount(rupiah: int) -> bool:
    """Whether a number can be the price or a fee of an order."""
    return 0 <= rupiah <= MAXIMUM_AMOUNT_RUPIAH


def committed_rupiah(quote_rupiah: int | None, charged_rupiah: int | None) -> int:
    """The amount with which an order counts: the larger of its quote and SAT's charge.

    Limits, the approval total, and reservations and commitments of funds all use this function.
    """
    charged = charged_rupiah if charged_rupiah is not None and is_amount(charged_rupiah) else 0
    return max(quote_rupiah or 0, charged, 0)


def is_above_quote(quote_rupiah: int | None, charged_rupiah: int | None) -> bool:
    """Whether SAT charges more than the quote, even if the number is absurd."""
    return charged_rupiah is not None and quote_rupiah is not None and charged_rupiah > quote_rupiah
