"""One real kill in every test run; ``make chaos`` does many."""

from __future__ import annotations

import random
import sys

import pytest

from stack.lifecycle import Stack
from tests.chaos.siege import Siege


@pytest.mark.timeout(700)
def test_a_task_killed_in_the_middle_of_a_batch_costs_nothing(running_stack: Stack) -> None:
    """SIGKILL of the running task while SAT lies: every order ends, each is charged once."""
    siege = Siege(running_stack, random.Random(), lambda line: print(line, file=sys.stderr))
    verdict = siege.run(batches=1, orders=200, kills=1, seconds=500)
    assert not verdict.findings, str(verdict)
    assert sum(verdict.kills.values()) == 1
    assert verdict.orders == {"succeeded": 200}, str(verdict)
