"""What the tests with real kills share."""

from __future__ import annotations

import random
import sys

import pytest

from stack.lifecycle import Stack
from tests.chaos.siege import Siege


@pytest.fixture(scope="session")
def siege(running_stack: Stack) -> Siege:
    """A batch in the middle of which a task was killed, while SAT lied; its orders are still to end."""
    siege = Siege(running_stack, random.Random(), lambda line: print(line, file=sys.stderr))
    siege.lay(batches=1, orders=200, kills=1)
    return siege
