"""What tests of closed days share: a log, and an ordinary day of an account of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sat_hook.store.database import Database
from sat_hook.store.postgres import PostgresEventStore
from stack.databases import ApplicationDatabase
from tests.integration.reconciliation.planting import Planted


@pytest.fixture(scope="module")
def store(module_database: ApplicationDatabase) -> Iterator[PostgresEventStore]:
    """One log for all accounts: each test has its own account."""
    store = PostgresEventStore(Database(module_database.writer_dsn, "tests"))
    with closing(store.database):
        yield store


@pytest.fixture
def day(store: PostgresEventStore, tmp_path: Path, request: pytest.FixtureRequest) -> Planted:
    """An ordinary day of an account of its own, not looked at yet at its close."""
    planted = Planted(store, tmp_path, request.node.name)
    planted.ordinary_day()
    return planted
