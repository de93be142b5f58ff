"""Every crash point: one run for each commit and call boundary of a batch, stopped there and resumed."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from sandbox.scenario import scenario_of
from tests.simulation.processes import KilledAt
from tests.simulation.simulation import Verdict, run_seed
from tests.simulation.weather import CALM, HEADER, Batch, Plan

ROWS = (
    "O-1,50k-simpati,081200000001,,\n"
    "O-2,pln-postpaid,530000000002,,\n"
    "O-3,25k-xl,081200000003,,\n"
    "O-4,voucher-game-50k,081200000004,,\n"
    "O-5,speedy-indihome,530000000005,,\n"
    "O-6,no-such-product,081200000006,,\n"
)
# One order with each kind of fault, so that status queries, resending and rejecting have crash points too.
FAULTS = [
    {"fault": "response_lost", "client_numbers": ["081200000003"], "operations": ["checkout"], "times": 1},
    {"fault": "request_lost", "client_numbers": ["530000000005"], "operations": ["checkout"], "times": 1},
]
EXPECTED = {
    "O-1": "succeeded",
    "O-2": "succeeded",
    "O-3": "succeeded",
    "O-4": "failed",
    "O-5": "succeeded",
    "O-6": "rejected",
}
BOUNDARIES = {
    "before a commit",
    "after a commit",
    "before the guards' lock",
    "after the guards' lock",
    "before the guards read",
    "before the funds' lock",
    "after the funds' lock",
    "before a checkout is sent",
    "as a checkout is written",
    "after a checkout was sent",
    "after a checkout's reply",
    "after a status' answer",
    "before enrolling",
    "before hastening",
    "after claiming",
    "before rescheduling",
    "before forgetting",
    "before writing a file",
    "after writing a file",
}

WEATHER = replace(
    CALM,
    storm_seconds=600.0,
    operator=0.0,  # no person guesses the end of an escalated order
    scenario=scenario_of(
        {"seed": 4, "faults": FAULTS, "fulfilment": {"min_seconds": 1.0, "max_seconds": 5.0}}
    ),
)
PLAN = Plan(1, WEATHER, (Batch("crash", (HEADER + ROWS).encode(), 3),))


@pytest.fixture(scope="module")
def undisturbed() -> Verdict:
    """The same batch without any crash."""
    return run_seed(1, plan=PLAN, fate=KilledAt(-1), traced=True)


def test_the_undisturbed_batch_passes_every_kind_of_boundary(undisturbed: Verdict) -> None:
    """The list of boundaries is complete, and the batch ends as it must."""
    assert undisturbed.broken is None, undisturbed.story()
    assert undisturbed.ends == EXPECTED
    assert {label.partition(": ")[2] for label in undisturbed.labels} == BOUNDARIES


def test_stopped_at_every_boundary_the_batch_still_ends_as_it_must(undisturbed: Verdict) -> None:
    """If the process dies at boundary n, for every n, its successor still pays every order exactly once."""
    stopped: Counter[str] = Counter()
    for number in range(undisturbed.boundaries):
        fate = KilledAt(number)
        verdict = run_seed(1, plan=PLAN, fate=fate)
        where = f"stopped at boundary {number}, {fate.hit}"
        assert fate.hit is not None, f"boundary {number} was never passed"
        assert verdict.broken is None, f"{where}: {verdict.broken}"
        assert {**verdict.ends, "O-4": EXPECTED["O-4"]} == EXPECTED, where
        # After a send that may have arrived, even a listed rejection is not an end: a person gets that order.
        assert verdict.ends["O-4"] in ("failed", "escalated"), where
        stopped[fate.hit.partition(": ")[2]] += 1
    assert set(stopped) == BOUNDARIES
    assert sum(stopped.values()) == undisturbed.boundaries
