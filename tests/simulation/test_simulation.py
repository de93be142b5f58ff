"""Many small worlds, each told by a number: whatever goes wrong in them, the laws hold."""

from __future__ import annotations

import pytest

from tests.simulation.simulation import run_seed


@pytest.mark.parametrize("first", range(1, 41, 10))
def test_the_laws_hold_whatever_goes_wrong(first: int) -> None:
    """Every invariant holds after every step of every seed."""
    for seed in range(first, first + 10):
        verdict = run_seed(seed)
        assert verdict.broken is None, f"seed {seed}: {verdict.broken}"
