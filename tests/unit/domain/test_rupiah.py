"""Rupiah as text."""

from __future__ import annotations

from sat_hook.domain.rupiah import NO_BREAK, recorded_rupiah, rupiah, typeset_rupiah


def test_each_place_has_its_form() -> None:
    """Sentences, tables and pages; whole numbers with commas."""
    assert rupiah(4_990_000) == "Rp 4,990,000"
    assert recorded_rupiah(4_990_000) == "Rp4,990,000"
    assert typeset_rupiah(-4_990_000) == f"−Rp{NO_BREAK}4,990,000"
