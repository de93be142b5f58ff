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
    """Years of days of rechecks are not read to say how the last week stands, and no recheck is."""
    with closing(psycopg2.connect(database.owner_dsn)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO sat.recheck_counts (account, days, due_at, overdue_at, waiting, in_time)"
            " SELECT 'demo', 1, due, due + interval '18 hours', 0, 10000000"
            " FROM generate_series(1, 5000) AS n, LATERAL (SELECT now() - n * interval '1 day') AS x (due)"
        )
        cursor.execute("ANALYZE sat.recheck_counts")
        now = datetime.now(UTC)
        counted = queries("final_watch").count_looks.sql
        cursor.execute(
            f"EXPLAIN (ANALYZE, FORMAT JSON) {counted}", {"now": now, "since": now - timedelta(days=7)}
        )
        [[[explained]]] = cursor.fetchall()
    assert rows_read(explained["Plan"]) <= 20, explained


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


ORDERS = """
    INSERT INTO sat.orders (
        request_id, version, state, account, order_id, batch_id, row_number, product_code, client_number,
        payload_digest, changed_at, committed_rupiah, is_reservable
    )
    SELECT 'S' || n, 6, CASE WHEN n % 10 = 0 THEN 'reversed' ELSE 'succeeded' END, 'demo', 'o' || n,
        'B' || n / 500, n % 500, 'p', '0812' || n, '', now() - n * interval '4 hours', 52000, false
    FROM generate_series(1, 5000) AS n
"""
ALERTS = """
    INSERT INTO sat.alerts (key, kind, account, subject, text, occurred_at, notified_at, announced_at)
    SELECT 'a' || n, CASE WHEN n % 1000 = 0 THEN 'log_damaged' ELSE 'order_escalated' END, 'demo', '', 'a',
        now(), now(), now()
    FROM generate_series(1, 5000) AS n
"""


@pytest.fixture(scope="module")
def past(module_database: ApplicationDatabase) -> ApplicationDatabase:
    """Orders that have ended and alerts that were told: what rounds are done with."""
    with closing(psycopg2.connect(module_database.owner_dsn)) as connection, connection.cursor() as cursor:
        cursor.execute(ORDERS)
        cursor.execute(ALERTS)
        cursor.execute("ANALYZE sat.orders, sat.alerts")
        connection.commit()
    return module_database


NOW = datetime.now(UTC)
LONG_AGO = {"late_since": NOW - timedelta(days=7), "late_due_at": NOW, "due_at": NOW}


@pytest.mark.parametrize(
    ("statement", "arguments", "most_rows"),
    [
        (queries("polls").enroll, {"batch_id": None, "account": "demo", **LONG_AGO}, 10),
        (queries("polls").enroll_batches, {"batch_ids": ["B1"], "account": "demo", **LONG_AGO}, 10),
        (queries("alerts").recent_alerts, {"only_untold": True, "before_id": None, "limit": 50}, 10),
        (
            queries("alerts").recent_alerts,
            {"only_untold": False, "before_id": None, "limit": 50},
            110,
        ),
        (queries("alerts").alerts_of_kinds, {"kinds": ["log_damaged", "log_forked"], "limit": 2}, 10),
        (
            queries("alerts").claim_alerts_to_notify,
            {"now": "now", "lease_until": "now", "limit": 9},
            10,
        ),
        (queries("alerts").alerts_to_announce, {"limit": 10}, 30),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_round_reads_few_rows_of_the_past(
    past: ApplicationDatabase, statement: Any, arguments: dict[str, Any], most_rows: int
) -> None:
    """Rows that are read and rows that are thrown away: both stay few among 5,000 that are done with."""
    with closing(psycopg2.connect(past.owner_dsn)) as connection, connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement.sql}", arguments)
        [[[explained]]] = cursor.fetchall()
        connection.rollback()
    assert rows_read(explained["Plan"]) <= most_rows, explained


def rows_read(node: dict[str, Any]) -> int:
    """The rows that a plan's scans of tables returned, or read and removed by a filter."""
    below = sum(map(rows_read, node.get("Plans", ())))
    if "Relation Name" not in node and "Index Name" not in node:
        return below
    removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return below + int((node["Actual Rows"] + removed) * node["Actual Loops"])
