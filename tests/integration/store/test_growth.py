"""Operational tables that are not pruned: the hourly queries do not grow with their past."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta

import psycopg2

from sat_hook.store.statements import queries
from stack.databases import ApplicationDatabase


def test_marks_of_the_last_days_are_counted_without_reading_all_of_them(
    database: ApplicationDatabase,
) -> None:
    """A year of closed looks is not read to say how the last month stands."""
    with closing(psycopg2.connect(database.owner_dsn)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO sat.final_watch (end_position, days, request_id, account, due_at, overdue_at,"
            " next_try_at, closed_at, finding)"
            " SELECT n, 1, 'S' || n, 'demo', due, due + interval '18 hours', due, due, 'same'"
            " FROM generate_series(1, 20000) AS n,"
            " LATERAL (SELECT now() - interval '1 year' + n * interval '26 minutes') AS x (due)"
        )
        cursor.execute("ANALYZE sat.final_watch")
        now = datetime.now(UTC)
        counted = queries("final_watch").count_looks.sql
        cursor.execute(f"EXPLAIN {counted}", {"now": now, "since": now - timedelta(days=7)})
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "final_watch_overdue" in plan, plan
