"""The API on a real database, for the commands that read through it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sat_hook.store.database import Database
from sat_hook.store.postgres import PostgresEventStore
from stack.databases import ApplicationDatabase
from tests.console_server import console_server
from tests.orders import ACCOUNT
from tests.web_host import FakeAccounts, FakeHost, FakeUser


@pytest.fixture
def api(database: ApplicationDatabase, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Settings that lead to the API. There is no setting for the database."""
    with closing(Database(database.writer_dsn)) as opened:
        host = FakeHost(FakeUser("ops"), store=PostgresEventStore(opened), folder=tmp_path)
        host.accounts = FakeAccounts({"sat_default": ACCOUNT, "sat_north": "north", "sat_south": "south"})
        with console_server(host) as url:
            yield {"SAT_AIRFLOW_URL": url.removesuffix("/sat"), "SAT_AIRFLOW_TOKEN": "ops"}
