"""What a test leaves in its database is gone before another test gets it."""

from __future__ import annotations

from contextlib import closing

import psycopg2
import pytest

from sat_hook.store.database import Database
from sat_hook.store.postgres import PostgresEventStore
from tests.orders import BY_TEST, T0, submitted
from tests.postgres import DatabaseTemplate
from tests.sql import execute


def number(dsn: str) -> int:
    """The database's own number, which stays when its name changes."""
    [(oid,)] = execute(dsn, "SELECT oid FROM pg_database WHERE datname = current_database()")
    return int(oid)


def test_rows_and_sessions_of_one_test_do_not_reach_another(database_template: DatabaseTemplate) -> None:
    """The next test gets the same database under another name, with the first position free."""
    with database_template.copy() as first:
        database = Database(first.writer_dsn)
        assert PostgresEventStore(database).append([submitted()], BY_TEST, T0) == frozenset()
        of_first = number(first.superuser_dsn)
    with pytest.raises(psycopg2.OperationalError):
        execute(first.writer_dsn, "SELECT 1")
    database.close()
    with database_template.copy() as second, closing(Database(second.writer_dsn)) as database:
        assert (number(second.superuser_dsn), second.name == first.name) == (of_first, False)
        assert execute(second.superuser_dsn, "SELECT reader, position FROM sat.log_cursors") == [
            ("alerts", 0)
        ]
        assert PostgresEventStore(database).append([submitted()], BY_TEST, T0) == frozenset()
        assert execute(second.reader_dsn, "SELECT position FROM sat.events") == [(1,)]


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE sat.events DISABLE TRIGGER ALL",
        "ALTER TABLE sat.events ADD COLUMN more int",
        "DROP TABLE sat.order_movements CASCADE",
        "GRANT DELETE ON sat.events TO sat_reader",
        "CREATE OR REPLACE FUNCTION sat.callback_channel(p_account text) RETURNS text"
        " LANGUAGE sql AS 'SELECT p_account'",
        "DO $$ BEGIN EXECUTE format('ALTER ROLE sat_reader IN DATABASE %I SET jit = on',"
        " current_database()); END $$",
    ],
)
def test_changed_database_is_lent_to_no_other_test(database_template: DatabaseTemplate, change: str) -> None:
    """A table, a right, a function or a setting that a test has changed ends with its database."""
    with database_template.copy() as first, closing(psycopg2.connect(first.superuser_dsn)) as connection:
        of_first = number(first.superuser_dsn)
        connection.cursor().execute(change)
        connection.commit()
    with database_template.copy() as second:
        assert number(second.superuser_dsn) != of_first
