"""One real kill in every test run; ``make chaos`` does many.

An order left in doubt by a killed task is sent again a minute later at the earliest, after all its timeouts.
Another batch waits and is killed in the meantime: that is why this file comes after ``test_waiting``.
"""

from __future__ import annotations

import pytest

from tests.chaos.siege import Siege


@pytest.mark.timeout(900)
def test_a_task_killed_in_the_middle_of_a_batch_costs_nothing(siege: Siege) -> None:
    """SIGKILL of the running task while SAT lies: every order ends, each is charged once."""
    verdict = siege.lift(seconds=500)
    assert not verdict.findings, str(verdict)
    assert sum(verdict.kills.values()) == 1
    assert verdict.orders == {"succeeded": 200}, str(verdict)
