"""The application's database as the stack and the tests make it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from psycopg2.extensions import parse_dsn

from stack.databases import ApplicationDatabase, dsn_of
from tests.sql import execute


def test_each_role_enters_with_its_own_password(database: ApplicationDatabase) -> None:
    """Owner, writer, reader and receiver are roles apart."""
    for dsn, role in [
        (database.owner_dsn, "sat_owner"),
        (database.writer_dsn, "sat_writer"),
        (database.reader_dsn, "sat_reader"),
        (database.receiver_dsn, "sat_receiver"),
    ]:
        assert execute(dsn, "SELECT current_user, current_database()")[0] == (role, database.name)


def test_copies_do_not_share_rows(new_database: Callable[[], ApplicationDatabase]) -> None:
    """What one test writes, another cannot see."""
    first, second = new_database(), new_database()
    execute(first.owner_dsn, "CREATE TABLE only_here (n integer)")
    assert execute(second.owner_dsn, "SELECT to_regclass('only_here')")[0] == (None,)


def test_passwords_are_not_in_its_repr(database: ApplicationDatabase) -> None:
    """A failing test prints its fixtures."""
    assert str(parse_dsn(database.writer_dsn)["password"]) not in repr(database)


@pytest.mark.parametrize(
    "given",
    [
        "postgresql://boss:s%2Fp%20ace@db.example:6543/postgres?sslmode=require",
        "host=db.example port=6543 user=boss password='s/p ace' dbname=postgres sslmode=require",
    ],
)
def test_a_dsn_of_either_form_is_carried_to_another_database(given: str) -> None:
    """Host, port, credentials and TLS mode stay; database and role change when asked."""
    expected = {
        "host": "db.example",
        "port": "6543",
        "user": "boss",
        "password": "s/p ace",
        "dbname": "sat",
        "sslmode": "require",
    }
    assert parse_dsn(dsn_of(given, database="sat")) == expected
    assert parse_dsn(dsn_of(given, database="sat", user="u", password="p")) == {
        **expected,
        "user": "u",
        "password": "p",
    }
