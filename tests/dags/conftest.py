"""What the tests on a running Airflow share."""

from __future__ import annotations

import pytest

from stack.lifecycle import Stack
from tests.dags.office import Office


@pytest.fixture(scope="session")
def office(running_stack: Stack) -> Office:
    """The running stack with its users, and money in the deposit."""
    office = Office(running_stack)
    office.sandbox("POST", "topup", json={"rupiah": 30_000_000})
    return office
