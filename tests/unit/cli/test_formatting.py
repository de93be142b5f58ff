"""Amounts, moments and numbers as people see them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sat_hook.cli.formatting import STYLES, moment, rupiah
from sat_hook.domain.masking import masked_number
from sat_hook.domain.order import OrderState


@pytest.mark.parametrize(
    ("number", "shown"),
    [("081211311111", "0812******11"), ("0812345678", "0812****78"), ("081234567", "*********"), ("", "")],
)
def test_a_number_is_masked(number: str, shown: str) -> None:
    """Enough to recognise it; a short one is hidden wholly."""
    assert masked_number(number) == shown


def test_amounts_and_moments_are_those_of_jakarta() -> None:
    """Rp with points, and WIB."""
    assert rupiah(52_000_000) == "Rp 52,000,000"
    assert rupiah(0) == "Rp 0"
    assert rupiah(None) == "-"
    assert moment(datetime(2026, 11, 1, 17, 30, tzinfo=UTC)) == "2026-11-02 00:30:00.000"


def test_every_state_has_its_colour() -> None:
    """The table names states by their words, and knows them all."""
    assert list(STYLES) == list(OrderState)
