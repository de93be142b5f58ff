"""A PostgreSQL server for one test session, and a fresh copy of the application's database for each test.

The server lives in a temporary folder, and goes with the test session. ``SAT_TEST_DSN`` (a superuser's) names
another server to use instead.
"""

from __future__ import annotations

import itertools
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stack.databases import (
    APPLICATION_OWNER,
    APPLICATION_ROLES,
    ApplicationDatabase,
    clone_database,
    drop_database,
    prepare_application,
)
from stack.postgres import EmbeddedPostgres
from tests.keeper import hand_over, kept


class DatabaseTemplate:
    """The migrated database that every test's own database is copied from."""

    def __init__(self, superuser_dsn: str) -> None:
        self._superuser_dsn = superuser_dsn
        self._passwords = {
            role: secrets.token_urlsafe(12) for role in (APPLICATION_OWNER, *APPLICATION_ROLES)
        }
        self._name = f"sat_template_{secrets.token_hex(4)}"
        self._copies = itertools.count(1)
        prepare_application(self._name, superuser_dsn, self._passwords)

    @contextmanager
    def copy(self) -> Iterator[ApplicationDatabase]:
        """A database with the whole schema and no rows; dropped at the end, with whoever is still in it."""
        name = f"{self._name}_{next(self._copies)}"
        clone_database(self._superuser_dsn, self._name, name, owner=APPLICATION_OWNER)
        try:
            yield ApplicationDatabase.named(name, self._superuser_dsn, self._passwords)
        finally:
            drop_database(self._superuser_dsn, name)

    def drop(self) -> None:
        """Remove the template itself."""
        drop_database(self._superuser_dsn, self._name)


@contextmanager
def server_for_tests() -> Iterator[str]:
    """The superuser's DSN of a server to test on."""
    given = os.environ.get("SAT_TEST_DSN")
    if given:
        yield given
        return
    with kept("tests.postgres") as dsn:
        yield dsn


def _keep_server_until_caller_ends() -> None:
    with tempfile.TemporaryDirectory(prefix="sat-tests-") as folder:
        server = EmbeddedPostgres(Path(folder) / "postgres", secrets.token_urlsafe(12), durable=False)
        server.start()
        try:
            hand_over(server.dsn())
        finally:
            server.stop("immediate")


if __name__ == "__main__":
    _keep_server_until_caller_ends()
