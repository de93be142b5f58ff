"""Roles can do what the documentation says, and nothing else."""

from __future__ import annotations

from contextlib import closing

import psycopg2
import pytest
from psycopg2 import errors

from sat_hook.store.database import Database
from sat_hook.store.migrations import create_roles, restrict_catalog
from sat_hook.store.postgres import PostgresEventStore
from stack.databases import ApplicationDatabase
from tests.integration.store.draw_privileges import PAGE, page
from tests.orders import BY_TEST, T0, change_of, received
from tests.sql import execute

ROLES = ("writer_dsn", "reader_dsn", "receiver_dsn")
LOG_LOCK = 7248301100001
REFUSED = {
    "the log's lock for as long as the session lives": f"SELECT pg_advisory_lock({LOG_LOCK})",
    "the log's lock, exclusively": f"SELECT pg_advisory_xact_lock({LOG_LOCK})",
    "the log's lock, if it is free": f"SELECT pg_try_advisory_lock({LOG_LOCK})",
    "giving back everything": "SELECT pg_advisory_unlock_all()",
    "a large object": "SELECT lo_from_bytea(0, 'abc')",
    "an empty large object": "SELECT lo_creat(-1)",
    "bytes in the transaction log": "SELECT pg_logical_emit_message(false, 'a', repeat('b', 100))",
    "a temporary table": "CREATE TEMPORARY TABLE mine (id int)",
    "a table": "CREATE TABLE public.mine (id int)",
    "switching triggers off": "SET session_replication_role = replica",
    "a file of the server": "SELECT pg_read_file('postgresql.conf')",
}


@pytest.fixture(scope="module")
def prepared(module_database: ApplicationDatabase) -> ApplicationDatabase:
    """With the privileges on the database itself, which a copy loses; the page was drawn of it."""
    page(module_database)
    return module_database


def test_the_documentation_lists_every_privilege(prepared: ApplicationDatabase) -> None:
    """A changed privilege needs a renewed page, so that a reviewer sees the difference."""
    renew = "run: .venv/bin/python -m tests.integration.store.draw_privileges"
    assert PAGE.read_text("utf-8") == page(prepared), renew


@pytest.mark.parametrize("dsn", ROLES)
@pytest.mark.parametrize("statement", REFUSED.values(), ids=REFUSED.keys())
def test_no_role_can_do_what_it_need_not(prepared: ApplicationDatabase, dsn: str, statement: str) -> None:
    """PostgreSQL gives some of it to everybody: locks that stop appends, and ways to fill the disk."""
    with pytest.raises(errors.InsufficientPrivilege):
        execute(getattr(prepared, dsn), statement)


@pytest.mark.parametrize("dsn", ["reader_dsn", "receiver_dsn"])
def test_who_only_reads_or_receives_cannot_hold_the_logs_lock(
    database: ApplicationDatabase, dsn: str
) -> None:
    """Not in any way, so the pipeline appends whatever these roles leave open."""
    with (
        closing(psycopg2.connect(getattr(database, dsn))) as other,
        closing(Database(database.writer_dsn)) as opened,
    ):
        for function in ("pg_advisory_xact_lock_shared(1)", "pg_advisory_xact_lock(1, 2)"):
            with pytest.raises(errors.InsufficientPrivilege):
                other.cursor().execute(f"SELECT {function}")
            other.rollback()
        PostgresEventStore(opened).append([change_of(None, 1, received(1))], BY_TEST, T0)


def test_privileges_are_set_again_without_harm(prepared: ApplicationDatabase) -> None:
    """At every release; only a superuser can take from everybody what is the server's to give."""
    assert restrict_catalog(prepared.superuser_dsn) is True
    assert restrict_catalog(prepared.owner_dsn) is False
    assert PAGE.read_text("utf-8") == page(prepared)


def test_what_an_administrator_set_for_a_role_stays(prepared: ApplicationDatabase) -> None:
    """New passwords do not bring our own timeouts back."""
    with pytest.raises(ValueError, match="expected passwords"):
        create_roles(prepared.superuser_dsn, {})
    passwords = {
        f"sat_{name.removesuffix('_dsn')}": psycopg2.extensions.parse_dsn(getattr(prepared, name))["password"]
        for name in ROLES
    }
    name = "idle_in_transaction_session_timeout"
    with closing(psycopg2.connect(prepared.superuser_dsn)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(f"ALTER ROLE sat_reader SET {name} = '5min'")
        try:
            create_roles(prepared.superuser_dsn, passwords)
            cursor.execute("SELECT rolconfig FROM pg_roles WHERE rolname = 'sat_reader'")
            assert f"{name}=5min" in cursor.fetchall()[0][0]
        finally:
            cursor.execute(f"ALTER ROLE sat_reader SET {name} = '60s'")
