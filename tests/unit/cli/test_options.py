"""Amounts of rupiah as people type them."""

from __future__ import annotations

import pytest

from sat_hook.cli.errors import CommandError
from sat_hook.cli.options import rupiah_from


@pytest.mark.parametrize(
    "text",
    ["50000000", "50.000.000", "50,000,000", "Rp50.000.000", "Rp. 50.000.000", "rp 50 000 000",
     "IDR 50,000,000", "50.000.000,00", "50,000,000.00", "50.000.000,-", " 50\u00a0000\u00a0000 "],
)  # fmt: skip
def test_an_amount_is_understood(text: str) -> None:
    """With either separator of thousands, the currency, and cents that are none."""
    assert rupiah_from(text, "RUPIAH") == 50_000_000


@pytest.mark.parametrize(
    "text",
    ["", "0", "-5", "50.000.5", "50.00", "50,5", "5.0000", "50.000,000", "50.000.000,50", "1e6", "50 juta",
     "50jt", "5 0000", "5,000.000", "0.500", "١٢٣", "9" * 21, "Rp", "1_000"],
)  # fmt: skip
def test_what_could_be_read_otherwise_is_refused_in_words(text: str) -> None:
    """What was found, and what an amount looks like; nothing is guessed about money."""
    with pytest.raises(CommandError) as refused:
        rupiah_from(text, "RUPIAH")
    assert str(refused.value) == (
        f"RUPIAH: found {text!r}; expected whole rupiah above 0: 50000000, 50.000.000 or Rp 50,000,000"
    )
