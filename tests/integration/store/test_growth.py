"""Operational tables that are not pruned: the hourly queries do not grow with their past."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg2
import pytest

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


@pytest.mark.parametrize(
    ("statement", "index", "arguments"),
    [
        ("claim_webhook_messages", "webhook_messages_due", {"webhook": "erp", "lease_until": "now"}),
        ("webhook_messages_page", "webhook_messages_by_state", {"state": "dead", "webhook": None}),
        ("unsettled_webhook_messages", "webhook_messages_by_state", {}),
        ("purge_webhook_messages", "webhook_messages_settled", {}),
    ],
)
def test_messages_of_webhooks_are_found_among_those_that_were_delivered(
    module_database: ApplicationDatabase, statement: str, index: str, arguments: dict[str, Any]
) -> None:
    """A week of delivered messages is read neither by the task of each minute nor by a page."""
    with closing(psycopg2.connect(module_database.owner_dsn)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO sat.webhook_messages"
            " (webhook, message_id, topic, account, position, body, state, settled_at)"
            " SELECT 'erp', 'M' || n, 'order.ended', 'demo', n, '{}', 'delivered', now()"
            " FROM generate_series(1, 20000) AS n ON CONFLICT DO NOTHING"
        )
        cursor.execute("ANALYZE sat.webhook_messages")
        long_ago = datetime.now(UTC) - timedelta(days=7)
        given = {"now": "now", "limit": 50, "before_number": 2**62, **arguments}
        given |= {"delivered_before": long_ago, "dead_before": long_ago}
        cursor.execute(f"EXPLAIN {getattr(queries('webhooks'), statement).sql}", given)
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert index in plan, plan
