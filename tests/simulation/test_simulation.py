"""Many small worlds, each told by a number: whatever goes wrong in them, the laws hold."""

from __future__ import annotations

import pytest

from stack.databases import ApplicationDatabase
from tests.simulation.__main__ import Tally, run_many
from tests.simulation.on_postgres import RECEIVER_VARIABLE, WRITER_VARIABLE
from tests.simulation.simulation import run_seed

SEEDS_IN_MEMORY = 2000
SEEDS_ON_POSTGRES = 200

# What a thousand seeds must have been through, or the simulation proves less than it says.
MUST_HAPPEN = (
    "transition:submitting -CheckoutAccepted-> pending",
    "transition:submitting -CheckoutRejected-> failed",
    "transition:submitting -CheckoutUnknown-> unknown",
    "transition:submitting -CheckoutNotSent-> quoted",
    "transition:submitting -OrderSucceeded-> succeeded",
    "transition:submitting -StatusNotFound-> unknown",
    "transition:unknown -StatusNotFound-> unknown",
    "transition:unknown -CheckoutRequested-> submitting",
    "transition:unknown -OrderSucceeded-> succeeded",
    "transition:unknown -OrderEscalated-> escalated",
    "transition:succeeded -OrderReversed-> reversed",
    "transition:quoted -OrderHeld-> held",
    "transition:received -OrderRejected-> rejected",
)


@pytest.fixture(scope="module")
def in_memory() -> Tally:
    """Two thousand seeds on the in-memory store."""
    total = Tally()
    for tally in run_many(1, SEEDS_IN_MEMORY, jobs=2):
        total.add(tally)
    return total


@pytest.mark.timeout(300)
def test_the_laws_hold_whatever_goes_wrong(in_memory: Tally) -> None:
    """Every invariant holds after every step of every seed (replay one: make simulate SEED=n)."""
    assert in_memory.seeds == SEEDS_IN_MEMORY
    assert in_memory.failures == []


@pytest.mark.parametrize("happening", MUST_HAPPEN)
def test_what_should_go_wrong_does_go_wrong(in_memory: Tally, happening: str) -> None:
    """A simulation in which nothing happens holds every law."""
    assert in_memory.counters[happening] > 0, sorted(in_memory.counters)


def test_every_fault_of_the_server_fires(in_memory: Tally) -> None:
    """Each kind of fault that the plans may draw was met at least once in a thousand seeds."""
    faults = [name for name in in_memory.counters if name.startswith("fault:")]
    assert len(faults) >= 20, faults


def test_a_seed_replays_exactly() -> None:
    """The same seed is the same story to the last byte of the log."""
    for seed in (3, 17, 40):
        assert run_seed(seed).digest == run_seed(seed).digest


@pytest.mark.timeout(300)
def test_the_laws_hold_on_postgresql(database: ApplicationDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same worlds on the real store: one database, an account of its own for every seed."""
    monkeypatch.setenv(WRITER_VARIABLE, database.writer_dsn)
    monkeypatch.setenv(RECEIVER_VARIABLE, database.receiver_dsn)
    total = Tally()
    for tally in run_many(1, SEEDS_ON_POSTGRES, jobs=2):
        total.add(tally)
    assert total.seeds == SEEDS_ON_POSTGRES
    assert total.failures == []
