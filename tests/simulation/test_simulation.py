"""Many small worlds, one per seed: the laws hold through every fault."""

from __future__ import annotations

import pytest

from stack.databases import ApplicationDatabase
from tests.simulation.__main__ import Tally, run_many
from tests.simulation.happenings import (
    EVERY_THOUSAND_SEEDS,
    FAULTS,
    NEVER_DRAWN,
    RARE,
    SELDOM,
    kinds_of_fault,
)
from tests.simulation.on_postgres import RECEIVER_VARIABLE, WRITER_VARIABLE
from tests.simulation.seeds import REQUIRED, happened, remarkable_seeds
from tests.simulation.simulation import run_seed

SEEDS_IN_MEMORY = 100
SEEDS_ON_POSTGRES = 12
SEEDS_AT_ONCE = 100
SEEDS_AT_MOST = 2000


def unseen(tally: Tally) -> list[str]:
    """Return required events that did not happen."""
    return sorted(REQUIRED - happened(tally.counters))


@pytest.fixture(scope="module")
def seen() -> Tally:
    """Run a hundred seeds and those in which everything happens; more if a change gave them other events."""
    total, seeds = Tally(), sorted({*range(1, SEEDS_IN_MEMORY + 1), *remarkable_seeds().covering})
    while seeds:
        for tally in run_many(seeds, jobs=2):
            total.add(tally)
        is_over = not unseen(total) or total.seeds > SEEDS_AT_MOST
        seeds = [] if is_over else list(range(total.seeds, total.seeds + SEEDS_AT_ONCE))
    return total


@pytest.mark.timeout(1800)
def test_the_laws_hold_whatever_goes_wrong(seen: Tally) -> None:
    """Every invariant holds after every step of every seed (replay one: make simulate SEED=n)."""
    assert seen.seeds >= SEEDS_IN_MEMORY
    assert seen.failures == []


@pytest.mark.timeout(1800)
def test_what_should_go_wrong_does_go_wrong(seen: Tally) -> None:
    """Every fault, transition, code, reason and boundary occurs: without events, every law would hold."""
    assert unseen(seen) == []


@pytest.mark.timeout(1800)
def test_nothing_happens_that_is_not_listed(seen: Tally) -> None:
    """A new fault, transition or code of SAT must be added to the list, or its loss would go unnoticed."""
    listed = {*EVERY_THOUSAND_SEEDS, *RARE, *SELDOM, "code:None"}
    kinds = ("fault:", "transition:", "code:")
    assert sorted(name for name in seen.counters if name.startswith(kinds) and name not in listed) == []


def test_every_kind_of_fault_is_on_the_list() -> None:
    """Every fault of the local SAT server is drawn, or there is a stated reason why not."""
    rare = {name.removeprefix("fault:") for name in RARE if name.startswith("fault:")}
    drawn = {name.split(":")[0] for name in (*FAULTS, *rare)}
    assert kinds_of_fault() - drawn == NEVER_DRAWN


def test_a_seed_replays_exactly() -> None:
    """The same seed is the same story to the last byte of the log."""
    for seed in (3, 17, 40):
        assert run_seed(seed).digest == run_seed(seed).digest


@pytest.mark.timeout(1800)
def test_the_laws_hold_on_postgresql(database: ApplicationDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """The laws hold in the same worlds on the real store: one database, a new account for every seed."""
    monkeypatch.setenv(WRITER_VARIABLE, database.writer_dsn)
    monkeypatch.setenv(RECEIVER_VARIABLE, database.receiver_dsn)
    total = Tally()
    for tally in run_many(range(1, SEEDS_ON_POSTGRES + 1), jobs=2):
        total.add(tally)
    assert total.seeds == SEEDS_ON_POSTGRES
    assert total.failures == []
