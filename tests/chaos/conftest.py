"""Fixtures of the tests with real kills."""

from __future__ import annotations

import random
import sys

import pytest

from stack.lifecycle import Stack
from tests.chaos.siege import Siege


@pytest.fixture(scope="session")
def siege(running_stack: Stack) -> Siege:
    """A batch whose task was killed midway while SAT lied; its orders have not ended yet."""
    siege = Siege(running_stack, random.Random(), lambda line: print(line, file=sys.stderr))
    siege.lay(batches=1, orders=200, kills=1)
    return siege
