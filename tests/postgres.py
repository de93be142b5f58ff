"""A PostgreSQL server for one test session, and a fresh copy of the application's database for each test.

The server lives in a temporary folder, and goes with the test session. ``SAT_TEST_DSN`` (a superuser's) names
another server to use instead.
"""

from __future__ import annotations

import itertools
import json
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg2

from stack.databases import (
    APPLICATION_OWNER,
    APPLICATION_ROLES,
    ApplicationDatabase,
    administration,
    clone_database,
    drop_database,
    prepare_application,
)
from stack.postgres import SUPERUSER, EmbeddedPostgres
from tests.keeper import hand_over, kept


class DatabaseTemplate:
    """The migrated database that every test's own database is copied from.

    A copy that a test gives back is emptied and lent again under a new name, which takes less than a copy.
    One that has another schema or settings than the template, or has grown large, is dropped.
    """

    def __init__(self, superuser_dsn: str) -> None:
        self._superuser_dsn = superuser_dsn
        self._passwords = {
            role: secrets.token_urlsafe(12) for role in (APPLICATION_OWNER, *APPLICATION_ROLES)
        }
        self._name = f"sat_template_{secrets.token_hex(4)}"
        self._copies = itertools.count(1)
        self._emptied: list[str] = []
        prepared = prepare_application(self._name, superuser_dsn, self._passwords)
        with administration(prepared.superuser_dsn) as cursor:
            self._empty = _emptying(cursor)
            for role in APPLICATION_ROLES:  # not the owner's: dbmate wants more iterations
                _hash_quickly(cursor, role, self._passwords[role])
            cursor.execute("SELECT pg_current_xact_id()::text")
            (self._prepared_at,) = cursor.fetchone()
            cursor.execute(_SCHEMA, {"since": self._prepared_at})
            self._schema = cursor.fetchone()

    @contextmanager
    def copy(self) -> Iterator[ApplicationDatabase]:
        """A database with the whole schema and no rows; whoever is still in it at the end is put out."""
        if self._emptied:
            name = self._emptied.pop()
        else:
            name = self._new_name()
            clone_database(self._superuser_dsn, self._name, name, owner=APPLICATION_OWNER)
        database = ApplicationDatabase.named(name, self._superuser_dsn, self._passwords)
        try:
            yield database
        finally:
            self._take_back(database)

    def drop(self) -> None:
        """Remove the template itself and the copies that are left."""
        for name in (*self._emptied, self._name):
            drop_database(self._superuser_dsn, name)

    def _new_name(self) -> str:
        return f"{self._name}_{next(self._copies)}"

    def _take_back(self, database: ApplicationDatabase) -> None:
        """Empty a copy and give it a new name, or drop it."""
        with administration(database.superuser_dsn) as cursor:
            cursor.execute(_PUT_OUT)
            cursor.execute(_SIZE_AND_SETTINGS)
            size, settings = cursor.fetchone()
            cursor.execute(_SCHEMA, {"since": self._prepared_at})
            is_like_template = (cursor.fetchone(), settings) == (self._schema, 0) and size <= MOST_BYTES
            if is_like_template:
                cursor.execute(self._empty)
        if is_like_template:
            name = self._new_name()
            with suppress(psycopg2.errors.ObjectInUse), administration(self._superuser_dsn) as cursor:
                cursor.execute(f"ALTER DATABASE {database.name} RENAME TO {name}")
                self._emptied.append(name)
                return
        drop_database(self._superuser_dsn, database.name)


MOST_BYTES = 8_000_000
"""Of tables, indexes and dead rows in a copy that is lent again. An empty copy has 1.2 MB."""

_PUT_OUT = """
SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""

# Rows of the catalog about our own objects, all and those that are newer than the template's. Statistics
# write no new row.
_FIRST_OWN_OID = 16384
_SCHEMA = "SELECT " + ", ".join(
    "(SELECT (count(*), count(*) FILTER (WHERE xmin::text::bigint >= %(since)s::bigint))::text"
    f" FROM {catalog} WHERE {oid} >= {_FIRST_OWN_OID})"
    for catalog, oid in {
        "pg_class": "oid",
        "pg_attribute": "attrelid",
        "pg_constraint": "oid",
        "pg_trigger": "oid",
        "pg_proc": "oid",
    }.items()
)

_SIZE_AND_SETTINGS = """
SELECT (SELECT sum(pg_relation_size(oid)) FROM pg_class WHERE relnamespace = 'sat'::regnamespace),
    (SELECT count(*) FROM pg_db_role_setting AS s JOIN pg_database AS d ON d.oid = s.setdatabase
    WHERE d.datname = current_database())
"""


def _hash_quickly(cursor: Any, role: str, password: str) -> None:
    """Keep a password so that a connection does not spend milliseconds on the usual 4096 iterations."""
    cursor.execute("SET scram_iterations = 1")
    cursor.execute(f"ALTER ROLE {role} PASSWORD %s", (password,))


def _emptying(template: Any) -> str:
    """The statements that make a copy as empty as the template is."""
    template.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'sat'::regnamespace"
    )
    statements = ["SET session_replication_role = replica"]
    for (table,) in template.fetchall():
        statements.append(f"DELETE FROM sat.{table}")
        template.execute(f"SELECT json_agg(t) FROM sat.{table} AS t")
        ((rows,),) = template.fetchall()
        if rows:
            text = json.dumps(rows).replace("'", "''")
            statements.append(
                f"INSERT INTO sat.{table} SELECT * FROM json_populate_recordset(NULL::sat.{table}, '{text}')"
            )
    template.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'S' AND relnamespace = 'sat'::regnamespace"
    )
    statements += [f"SELECT setval('sat.{sequence}', 1, false)" for (sequence,) in template.fetchall()]
    return "; ".join(statements)


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
            with administration(server.dsn()) as cursor:
                _hash_quickly(cursor, SUPERUSER, server.superuser_password)
            hand_over(server.dsn())
        finally:
            server.stop("immediate")


if __name__ == "__main__":
    _keep_server_until_caller_ends()
