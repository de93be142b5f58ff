"""Bugs planted on purpose are found, so the watch over the laws works."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulation.planted import BUGS, PlantedBug
from tests.simulation.simulation import run_seed
from tests.simulation.watch import BrokenInvariantError

PAGE = Path(__file__).parents[2] / "docs" / "simulation.md"
SEEDS = 400


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_planted_bug_is_found(bug: PlantedBug) -> None:
    """Within a limited number of seeds the watch reports the broken invariant in the expected words."""
    with bug.planted_in():
        for seed in range(1, SEEDS + 1):
            broken = run_seed(seed).broken
            if broken is not None:
                assert isinstance(broken, BrokenInvariantError), broken
                assert broken.what.startswith(bug.found_as)
                return
    pytest.fail(f"{bug.name} was not found in {SEEDS} seeds")


def test_there_are_enough_of_them() -> None:
    """There are at least twenty, each with its own name."""
    assert len({bug.name for bug in BUGS}) == len(BUGS) >= 20


def test_the_page_lists_them_all() -> None:
    """The table in the manual is the list in the code."""
    page = PAGE.read_text("utf-8")
    for bug in BUGS:
        assert f"| {bug.name} | {bug.planted} | {bug.found_as}" in page, bug.name
