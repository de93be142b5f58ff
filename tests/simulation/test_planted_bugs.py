"""Bugs planted on purpose are found, so the watch over the laws works."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulation.planted import BUGS, PlantedBug
from tests.simulation.simulation import run_seed
from tests.simulation.watch import BrokenInvariantError

PAGE = Path(__file__).parents[2] / "docs" / "simulation.md"
SEEDS = 400
#: The first seed that finds a bug, where that is not one of the first seven. A change of the simulation gives
#: other seeds other events; then the bug is searched for, and this table should be renewed.
FOUND_AT = {
    "5xx taken as failure": 8,
    "P03 taken as failure": 103,
    "a cheap reply frees the limit": 197,
    "account not compared": 127,
    "another id accepted": 39,
    "callback trusted unsigned": 44,
    "clock not compared": 27,
    "connection loosens rules": 15,
    "doubt filed away": 9,
    "duplicates let through": 14,
    "escalation as failure": 8,
    "gate left open": 8,
    "late callback taken at its word": 68,
    "limits counted batch by batch": 19,
    "maker approves": 10,
    "new id on a second intake": 15,
    "no escalation": 8,
    "price envelope ignored": 28,
    "redirect followed": 42,
    "rejection after an ambiguous send": 9,
    "resend before the deadline": 9,
    "resend beyond the horizon": 8,
    "resend with another body": 9,
    "resend without asking": 9,
    "reservation ignored": 12,
    "rollback not noticed": 20,
    "saldo taken for free money": 14,
    "send window ignored": 88,
    "stale evidence applied": 15,
    "submitting taken for abandoned": 9,
    "timeout taken as failure": 8,
    "unknown status taken as success": 14,
    "unlisted code taken as failure": 32,
}


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_planted_bug_is_found(bug: PlantedBug) -> None:
    """Within a limited number of seeds the watch reports the broken invariant in the expected words."""
    with bug.planted_in():
        for seed in (FOUND_AT.get(bug.name, 1), *range(1, SEEDS + 1)):
            broken = run_seed(seed).broken
            if broken is not None:
                assert isinstance(broken, BrokenInvariantError), broken
                assert broken.what.startswith(bug.found_as)
                return
    pytest.fail(f"{bug.name} was not found in {SEEDS} seeds")


def test_there_are_enough_of_them() -> None:
    """There are at least twenty, each with its own name."""
    names = {bug.name for bug in BUGS}
    assert len(names) == len(BUGS) >= 20
    assert FOUND_AT.keys() <= names


def test_the_page_lists_them_all() -> None:
    """The table in the manual is the list in the code."""
    page = PAGE.read_text("utf-8")
    for bug in BUGS:
        assert f"| {bug.name} | {bug.planted} | {bug.found_as}" in page, bug.name
