"""Rupiah as text. Whole numbers, thousands separated by commas."""

from __future__ import annotations

NO_BREAK = "\u00a0"
"""The no-break space inside a typeset amount."""
_UNITS = ((10**12, "tn"), (10**9, "bn"), (10**6, "mn"))


def rupiah(amount: int) -> str:
    """``Rp 4,990,000``: for sentences."""
    return f"Rp {amount:,}"


def tight_rupiah(amount: int) -> str:
    """``Rp4,990,000``: for tables and axes."""
    return f"Rp{amount:,}"


def typeset_rupiah(amount: int) -> str:
    """``Rp 4,990,000`` for a page: with a no-break space and a true minus."""
    return f"{'−' if amount < 0 else ''}Rp{NO_BREAK}{abs(amount):,}"


def short_rupiah(amount: int) -> str:
    """``Rp 4.99 mn``: three digits and a unit (million, billion, trillion); exact below a million."""
    return f"{'−' if amount < 0 else ''}Rp{NO_BREAK}{short_number(abs(amount))}"


def short_number(amount: int) -> str:
    """``4.99 mn``: about three digits and a unit; exact below a million."""
    for unit, name in _UNITS:
        if abs(amount) >= unit:
            whole = abs(amount) // unit
            places = 2 if whole < 10 else 1 if whole < 100 else 0
            digits = (abs(amount) * 10**places + unit // 2) // unit
            text = f"{digits // 10**places:,}"
            rest = f"{digits % 10**places:0{places}d}".rstrip("0") if places else ""
            return f"{'−' if amount < 0 else ''}{text}{'.' + rest if rest else ''}{NO_BREAK}{name}"
    return true_minus(f"{amount:,}")


def true_minus(number: str) -> str:
    """A number with a typographic minus instead of a hyphen."""
    return number.replace("-", "−")
