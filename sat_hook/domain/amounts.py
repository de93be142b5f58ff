"""What counts as an amount of money, and what an order takes of limits, approvals and funds. Pure.

SAT may name any number as the price of an order, signed or not. A number that is no amount is unknown money:
it is kept as text in the event, people are told, and the order counts for its quote.
"""

from __future__ import annotations

MAXIMUM_AMOUNT_RUPIAH = 10**12
"""The most that SAT can name for one order. Sums of nine million such orders fit into 64 bits."""


def is_amount(rupiah: int) -> bool:
    """Whether a number can be the price or a fee of an order."""
    return 0 <= rupiah <= MAXIMUM_AMOUNT_RUPIAH


def committed_rupiah(quote_rupiah: int | None, charged_rupiah: int | None) -> int:
    """What an order counts for wherever its money counts: the larger of its quote and of what SAT charges.

    Limits, the sum for approval, and reservations and commitments of funds ask this, and nothing else.
    """
    charged = charged_rupiah if charged_rupiah is not None and is_amount(charged_rupiah) else 0
    return max(quote_rupiah or 0, charged, 0)


def is_above_quote(quote_rupiah: int | None, charged_rupiah: int | None) -> bool:
    """Whether SAT charges more than was agreed to, however absurd the number is."""
    return charged_rupiah is not None and quote_rupiah is not None and charged_rupiah > quote_rupiah
