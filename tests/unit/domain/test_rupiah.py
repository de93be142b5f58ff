"""Rupiah as text."""

from __future__ import annotations

import pytest

from sat_hook.domain.rupiah import NO_BREAK, rupiah, short_rupiah, tight_rupiah, typeset_rupiah


def test_each_place_has_its_form() -> None:
    """Sentences, tables and pages; whole numbers with commas."""
    assert rupiah(4_990_000) == "Rp 4,990,000"
    assert tight_rupiah(4_990_000) == "Rp4,990,000"
    assert typeset_rupiah(-4_990_000) == f"−Rp{NO_BREAK}4,990,000"


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        (0, "Rp 0"),
        (-2_500, "−Rp 2,500"),
        (999_999, "Rp 999,999"),
        (1_000_000, "Rp 1 mn"),
        (1_250_000, "Rp 1.25 mn"),
        (-12_340_000, "−Rp 12.3 mn"),
        (999_600_000, "Rp 1,000 mn"),
        (4_990_000_000, "Rp 4.99 bn"),
        (2_000_000_000_000, "Rp 2 tn"),
    ],
)
def test_amounts_are_short(amount: int, shown: str) -> None:
    """Exact below a million, three digits and a unit above."""
    assert short_rupiah(amount).replace(NO_BREAK, " ") == shown
