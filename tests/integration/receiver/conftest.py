"""The receiver with default limits, and orders that wait beside it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stack.databases import ApplicationDatabase
from tests.integration.receiver.serving import Served, serving, settings_for
from tests.integration.receiver.waiting_orders import WaitingOrders, waiting_orders_of


@pytest.fixture
def served(database: ApplicationDatabase) -> Iterator[Served]:
    """A receiver with default limits."""
    with serving(settings_for(database.receiver_dsn)) as served:
        yield served


@pytest.fixture
def waiting(database: ApplicationDatabase) -> Iterator[WaitingOrders]:
    """Orders beside a receiver."""
    with waiting_orders_of(database) as made:
        yield made
