"""Bugs planted on purpose are found, so the watch over the laws works."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulation.planted import BUGS, PlantedBug
from tests.simulation.seeds import SEEDS_A_BUG, remarkable_seeds
from tests.simulation.simulation import run_seed
from tests.simulation.watch import BrokenInvariantError

PAGE = Path(__file__).parents[2] / "docs" / "simulation.md"


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_planted_bug_is_found(bug: PlantedBug) -> None:
    """Within a limited number of seeds the watch reports the broken invariant in the expected words."""
    with bug.planted_in():
        for seed in (remarkable_seeds().bugs.get(bug.name, 1), *range(1, SEEDS_A_BUG + 1)):
            broken = run_seed(seed).broken
            if broken is not None:
                assert isinstance(broken, BrokenInvariantError), broken
                assert broken.what.startswith(bug.found_as)
                return
    pytest.fail(f"{bug.name} was not found in {SEEDS_A_BUG} seeds")


def test_there_are_enough_of_them() -> None:
    """There are at least twenty, each with its own name."""
    names = {bug.name for bug in BUGS}
    assert len(names) == len(BUGS) >= 20
    assert remarkable_seeds().bugs.keys() <= names


def test_the_page_lists_them_all() -> None:
    """The table in the manual is the list in the code."""
    page = PAGE.read_text("utf-8")
    for bug in BUGS:
        assert f"| {bug.name} | {bug.planted} | {bug.found_as}" in page, bug.name
