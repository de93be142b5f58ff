"""The event store's port, for its conformance tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from sat_hook.store.database import Database
from sat_hook.store.event_store import EventStore
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.testing.event_store import MemoryEventStore
from tests.orders import ManualClock


@pytest.fixture(params=["memory", "postgres"])
def store(request: pytest.FixtureRequest) -> Iterator[EventStore]:
    """Each store in turn."""
    if request.param == "memory":
        yield MemoryEventStore(ManualClock())
        return
    make: Callable[[], object] = request.getfixturevalue("new_database")
    database = Database(make().writer_dsn)  # type: ignore[attr-defined]
    yield PostgresEventStore(database)
    database.close()
