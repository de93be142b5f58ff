"""What is committed is on disk, whatever the server's own settings say."""

from __future__ import annotations

import pytest

from sat_hook.store.database import Database
from stack.databases import ApplicationDatabase
from tests.sql import execute


@pytest.mark.parametrize("dsn", ["writer_dsn", "receiver_dsn"])
def test_a_server_that_commits_before_the_disk_does_is_overruled(
    database: ApplicationDatabase, dsn: str
) -> None:
    """An intent that is sent, and a callback that is answered 200, must outlive a crash of the server."""
    execute(database.superuser_dsn, f'ALTER DATABASE "{database.name}" SET synchronous_commit = off')
    opened = Database(getattr(database, dsn))
    found = []
    for durable in (True, False, True):
        with opened.transaction(durable=durable) as connection, connection.cursor() as cursor:
            cursor.execute("SHOW synchronous_commit")
            found.append(cursor.fetchone())
    opened.close()
    assert found == [("on",), ("off",), ("on",)]
