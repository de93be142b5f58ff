"""The receiver's database role tries everything that it should not be able to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg2
import pytest
from psycopg2 import errors, sql

from sat_hook.store.migrations import apply_privileges
from stack.databases import ApplicationDatabase
from tests.integration.receiver.serving import SIGNER, order
from tests.sql import execute

OWN_FUNCTIONS = {"receive_callback", "callback_channel", "callback_payloads", "count_refused_callbacks"}
RELATIONS = """
SELECT n.nspname, c.relname, c.relkind::text,
    (SELECT array_agg(a.attname ORDER BY a.attnum) FROM pg_attribute AS a
     WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'v', 'm', 'p', 'S')
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
"""
FUNCTIONS = """
SELECT n.nspname, p.proname, pg_get_function_identity_arguments(p.oid),
    ARRAY(SELECT format_type(t, NULL) FROM unnest(p.proargtypes) AS t)
FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND p.prorettype <> 'trigger'::regtype
"""


@pytest.fixture(scope="module")
def prepared(module_database: ApplicationDatabase) -> ApplicationDatabase:
    """With the privileges that every database gets after its migrations; a copy loses those of its own."""
    apply_privileges(module_database.owner_dsn)
    return module_database


@pytest.fixture
def receiver(prepared: ApplicationDatabase) -> Iterator[Any]:
    """A cursor of the role; every statement stands alone."""
    with closing(psycopg2.connect(prepared.receiver_dsn)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            yield cursor


def found(database: ApplicationDatabase, statement: str) -> list[tuple[Any, ...]]:
    """The rows, as the owner sees them."""
    return execute(database.owner_dsn, statement)


def refuses(cursor: Any, statement: Any, *arguments: Any) -> None:
    """PostgreSQL says that this role may not."""
    with pytest.raises(errors.InsufficientPrivilege):
        cursor.execute(statement, arguments or None)


def test_its_one_act_works(receiver: Any, prepared: ApplicationDatabase) -> None:
    """Keep a callback, and wake who waits."""
    body = order("SROLE")
    receiver.execute(
        "SELECT sat.receive_callback('demo', 'SROLE', repeat('a', 64), %s, %s, 'k', 'application/json', '')",
        (body, SIGNER.sign(body)),
    )
    assert receiver.fetchone() == (True,)
    receiver.execute("SELECT pg_notify(sat.callback_channel('demo'), '')")
    assert found(prepared, "SELECT count(*) FROM sat.callback_inbox") == [(1,)]


def test_no_relation_can_be_read_or_written(receiver: Any, prepared: ApplicationDatabase) -> None:
    """Every table, view and sequence of every schema, its own inbox among them."""
    relations = found(prepared, RELATIONS)
    assert {"callback_inbox", "callback_queue", "events", "orders"} <= {name for _, name, _, _ in relations}
    for schema, name, kind, columns in relations:
        relation = sql.Identifier(schema, name)
        if kind == "S":
            refuses(receiver, "SELECT nextval(%s)", f"{schema}.{name}")
            refuses(receiver, "SELECT setval(%s, 1)", f"{schema}.{name}")
            refuses(receiver, sql.SQL("SELECT * FROM {}").format(relation))
            continue
        column = sql.Identifier(columns[0])
        for statement in ("SELECT count(*) FROM {relation}", "SELECT {column} FROM {relation}"):
            refuses(receiver, sql.SQL(statement).format(relation=relation, column=column))
        for statement in (
            ()
            if kind in "vm"
            else (
                "INSERT INTO {relation} DEFAULT VALUES",
                "UPDATE {relation} SET {column} = DEFAULT",
                "DELETE FROM {relation}",
                "TRUNCATE {relation}",
                "COPY {relation} TO STDOUT",
                "CREATE TRIGGER t BEFORE INSERT ON {relation} EXECUTE FUNCTION sat.refuse_change()",
                "ALTER TABLE {relation} ADD COLUMN extra text",
                "DROP TABLE {relation}",
                "GRANT SELECT ON {relation} TO sat_receiver",
            )
        ):
            refuses(receiver, sql.SQL(statement).format(relation=relation, column=column))


def test_no_other_function_can_be_called(receiver: Any, prepared: ApplicationDatabase) -> None:
    """Those that append, close, limit or compute; its own three are the only ones."""
    functions = found(prepared, FUNCTIONS)
    assert {name for _, name, _, _ in functions} > OWN_FUNCTIONS
    for schema, name, _, types in functions:
        if name in OWN_FUNCTIONS:
            continue
        # Not as constants: a call that is folded away while planning is never checked.
        arguments = sql.SQL(", ").join(sql.SQL(f"(NULL::text[])[n]::{kind}") for kind in types)
        call = sql.SQL("SELECT {}({}) FROM generate_series(1, 1) AS n")
        refuses(receiver, call.format(sql.Identifier(schema, name), arguments))


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE SCHEMA mine",
        "CREATE TABLE sat.mine (id int)",
        "CREATE TABLE public.mine (id int)",
        "CREATE TEMPORARY TABLE mine (id int)",
        "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "DROP FUNCTION sat.callback_channel(text)",
        "ALTER FUNCTION sat.callback_channel(text) SECURITY DEFINER",
        "CREATE ROLE mine",
        "CREATE DATABASE mine",
        "ALTER ROLE sat_receiver SUPERUSER",
        "ALTER ROLE sat_receiver BYPASSRLS",
        "GRANT sat_writer TO sat_receiver",
        "SET ROLE sat_writer",
        "SET ROLE sat_owner",
        "SET SESSION AUTHORIZATION postgres",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "COPY (SELECT 1) TO '/tmp/out'",
        "SELECT pg_read_file('postgresql.conf')",
        "SELECT pg_reload_conf()",
        "SELECT lo_import('/etc/hosts')",
        "ALTER SYSTEM SET fsync = off",
        "CREATE PUBLICATION mine FOR ALL TABLES",
        "SELECT pg_create_physical_replication_slot('mine')",
        "SET log_statement = 'none'",
        "SET session_replication_role = replica",
        "SELECT pg_advisory_lock(1)",
        "SELECT pg_try_advisory_xact_lock_shared(1, 2)",
        "SELECT lo_from_bytea(0, 'abc')",
        "SELECT lo_create(0)",
        "SELECT pg_logical_emit_message(false, 'a', 'b')",
    ],
)
def test_nothing_else_is_allowed(receiver: Any, statement: str) -> None:
    """No object of its own, no other role, no file, no server."""
    refuses(receiver, statement)


def test_nobody_elses_session_can_be_ended_or_watched(receiver: Any, prepared: ApplicationDatabase) -> None:
    """What others do is not shown, and they cannot be disturbed."""
    with closing(psycopg2.connect(prepared.writer_dsn)) as writer:
        pid = writer.info.backend_pid
        refuses(receiver, "SELECT pg_terminate_backend(%s)", pid)
        refuses(receiver, "SELECT pg_cancel_backend(%s)", pid)
        receiver.execute("SELECT query FROM pg_stat_activity WHERE pid = %s", (pid,))
        assert receiver.fetchone() == ("<insufficient privilege>",)
