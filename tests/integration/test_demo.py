"""The main job on a real Airflow, PostgreSQL and SAT server, as `make demo` does it."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from stack.demo import Demonstration
from stack.lifecycle import Stack


@pytest.mark.timeout(900)
def test_every_example_order_ends_as_expected_and_the_ledger_agrees(running_stack: Stack) -> None:
    """200 orders from a file and 20 from the table, submitted, paid, followed and judged."""
    out = io.StringIO()
    demonstration = Demonstration(running_stack, running_stack.settings(), Console(file=out, width=120))
    assert demonstration.show(time.monotonic()) == 0, out.getvalue()
    assert "every order ended as expected" in out.getvalue()
