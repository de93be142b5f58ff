"""Many small worlds, each told by a number: whatever goes wrong in them, the laws hold."""

from __future__ import annotations

import pytest

from stack.databases import ApplicationDatabase
from tests.simulation.__main__ import Tally, run_many
from tests.simulation.happenings import (
    BOUNDARIES,
    EVERY_THOUSAND_SEEDS,
    FAULTS,
    NEVER_DRAWN,
    RARE,
    SELDOM,
    kinds_of_fault,
)
from tests.simulation.on_postgres import RECEIVER_VARIABLE, WRITER_VARIABLE
from tests.simulation.simulation import run_seed

SEEDS_IN_MEMORY = 2000
SEEDS_ON_POSTGRES = 200

THOUSANDS = SEEDS_IN_MEMORY // 1000


@pytest.fixture(scope="module")
def thousands() -> list[Tally]:
    """Two thousand seeds on the in-memory store, a tally for each thousand."""
    tallies = []
    for number in range(THOUSANDS):
        total = Tally()
        for tally in run_many(1 + 1000 * number, 1000, jobs=2):
            total.add(tally)
        tallies.append(total)
    return tallies


@pytest.mark.timeout(1800)
def test_the_laws_hold_whatever_goes_wrong(thousands: list[Tally]) -> None:
    """Every invariant holds after every step of every seed (replay one: make simulate SEED=n)."""
    assert [tally.seeds for tally in thousands] == [1000] * THOUSANDS
    assert [failure for tally in thousands for failure in tally.failures] == []


@pytest.mark.timeout(1800)
def test_what_should_go_wrong_does_go_wrong(thousands: list[Tally]) -> None:
    """Every fault, transition, code and reason, in each thousand: where nothing happens every law holds."""
    missing = [
        (number, name)
        for number, tally in enumerate(thousands)
        for name in EVERY_THOUSAND_SEEDS
        if not tally.counters[name]
    ]
    assert missing == []
    assert [name for name in RARE if not any(tally.counters[name] for tally in thousands)] == []


@pytest.mark.timeout(1800)
def test_nothing_happens_that_is_not_listed(thousands: list[Tally]) -> None:
    """A new fault, transition or code of SAT's has to be put on the list, or nobody would miss it later."""
    listed = {*EVERY_THOUSAND_SEEDS, *RARE, *SELDOM, "code:None"}
    kinds = ("fault:", "transition:", "code:")
    found = {name for tally in thousands for name in tally.counters if name.startswith(kinds)}
    assert sorted(found - listed) == []


def test_every_kind_of_fault_is_on_the_list() -> None:
    """Whatever the local SAT server can do wrong is drawn, or it is said why it is not."""
    rare = {name.removeprefix("fault:") for name in RARE if name.startswith("fault:")}
    drawn = {name.split(":")[0] for name in (*FAULTS, *rare)}
    assert kinds_of_fault() - drawn == NEVER_DRAWN


@pytest.mark.timeout(1800)
def test_processes_end_at_every_boundary(thousands: list[Tally]) -> None:
    """Every place at which a process can be stopped is one at which some process was stopped."""
    stopped = [name for tally in thousands for name in tally.counters if name.startswith("process:")]
    assert [name for name in BOUNDARIES if not any(name in place for place in stopped)] == []


def test_a_seed_replays_exactly() -> None:
    """The same seed is the same story to the last byte of the log."""
    for seed in (3, 17, 40):
        assert run_seed(seed).digest == run_seed(seed).digest


@pytest.mark.timeout(1800)
def test_the_laws_hold_on_postgresql(database: ApplicationDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same worlds on the real store: one database, an account of its own for every seed."""
    monkeypatch.setenv(WRITER_VARIABLE, database.writer_dsn)
    monkeypatch.setenv(RECEIVER_VARIABLE, database.receiver_dsn)
    total = Tally()
    for tally in run_many(1, SEEDS_ON_POSTGRES, jobs=2):
        total.add(tally)
    assert total.seeds == SEEDS_ON_POSTGRES
    assert total.failures == []
