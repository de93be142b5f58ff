"""Rupiah as text. Whole numbers, thousands separated by commas."""

from __future__ import annotations

NO_BREAK = "\u00a0"
"""The no-break space inside a typeset amount."""


def rupiah(amount: int) -> str:
    """``Rp 4,990,000``: for sentences."""
    return f"Rp {amount:,}"


def tight_rupiah(amount: int) -> str:
    """``Rp4,990,000``: for tables and axes."""
    return f"Rp{amount:,}"


def typeset_rupiah(amount: int) -> str:
    """``Rp 4,990,000`` for a page: with a no-break space and a true minus."""
    return f"{'−' if amount < 0 else ''}Rp{NO_BREAK}{abs(amount):,}"


def true_minus(number: str) -> str:
    """A number with a typographic minus instead of a hyphen."""
    return number.replace("-", "−")
