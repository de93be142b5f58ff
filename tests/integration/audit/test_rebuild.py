"""Derived tables are compared with the log, and rebuilt from it identically."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg2
import pytest

from sat_hook.audit import rebuild
from sat_hook.audit.errors import RebuildRefusedError
from sat_hook.audit.findings import FindingKind
from sat_hook.audit.rebuild import Comparison, compare_projections, rebuild_projections
from sat_hook.store.database import Database, OneTransaction
from sat_hook.store.errors import StoreUnavailableError
from sat_hook.store.postgres import PostgresEventStore
from stack.databases import ApplicationDatabase
from tests.integration.audit.damage import BATCH_STREAM, ORDERS, SUCCEEDED, Found, damage, fill, order_stream
from tests.orders import ACCOUNT, BY_TEST, T0, change_of, received, stream_of
from tests.sql import execute

FIRST = order_stream(1)
KEY = stream_of(1).key


@pytest.fixture
def filled(database: ApplicationDatabase) -> Iterator[ApplicationDatabase]:
    """A log and its projections, without damage."""
    fill(database)
    return database


def compare(database: ApplicationDatabase, found: Found) -> Comparison:
    """Compare as the reader."""
    with closing(Database(database.reader_dsn)) as opened:
        return compare_projections(opened, found)


def rebuild_as(dsn: str) -> rebuild.Rebuilt:
    """Rebuild with this role."""
    with closing(Database(dsn)) as opened:
        return rebuild_projections(opened)


def derived(database: ApplicationDatabase) -> list[list[tuple[Any, ...]]]:
    """Everything in the derived tables."""
    tables = ("orders", "order_movements", "batches", "stream_heads")
    rows = [execute(database.owner_dsn, f"SELECT * FROM sat.{table} ORDER BY 1") for table in tables]
    usage = """
        SELECT account, scope, sum(orders), sum(rupiah) FROM sat.limit_usage
        GROUP BY 1, 2 HAVING sum(orders) <> 0 ORDER BY 1, 2
    """
    return [*rows, execute(database.owner_dsn, usage)]


def test_projections_agree_with_the_log(filled: ApplicationDatabase) -> None:
    """What every append maintains is the fold of the events."""
    found = Found()
    comparison = compare(filled, found)
    assert found.findings == []
    assert (comparison.orders, comparison.batches, comparison.is_clean) == (ORDERS, 1, True)


@pytest.mark.parametrize(
    ("statement", "kind", "place"),
    [
        (
            f"UPDATE sat.orders SET charged_rupiah = 1 WHERE request_id = '{KEY}'",
            FindingKind.PROJECTION_DIFFERS,
            FIRST,
        ),
        (
            f"UPDATE sat.orders SET committed_rupiah = 1 WHERE request_id = '{KEY}'",
            FindingKind.PROJECTION_DIFFERS,
            FIRST,
        ),
        (
            f"UPDATE sat.order_movements SET charged_rupiah = 1 WHERE request_id = '{KEY}'",
            FindingKind.PROJECTION_DIFFERS,
            FIRST,
        ),
        (
            f"DELETE FROM sat.order_movements WHERE request_id = '{KEY}'",
            FindingKind.PROJECTION_MISSING,
            FIRST,
        ),
        (
            # The position is that of an event of this order, but this event leaves no movement.
            f"""INSERT INTO sat.order_movements
            SELECT (jsonb_populate_record(m, jsonb_build_object('position', e.position))).*
            FROM sat.order_movements AS m
            JOIN sat.events AS e ON e.stream = '{FIRST}' AND e.type = 'OrderReceived'
            WHERE m.request_id = '{KEY}' LIMIT 1""",
            FindingKind.PROJECTION_WITHOUT_EVENTS,
            FIRST,
        ),
        (f"DELETE FROM sat.orders WHERE request_id = '{KEY}'", FindingKind.PROJECTION_MISSING, FIRST),
        (
            f"INSERT INTO sat.limit_usage VALUES ('{ACCOUNT}', 'day/2026-11-02', 0, 1)",
            FindingKind.PROJECTION_DIFFERS,
            f"limit_usage of {ACCOUNT}, day/2026-11-02",
        ),
        ("DELETE FROM sat.batches", FindingKind.PROJECTION_MISSING, BATCH_STREAM),
        (
            """UPDATE sat.batches SET document = document || '{"state": "completed"}'""",
            FindingKind.PROJECTION_DIFFERS,
            BATCH_STREAM,
        ),
        (
            f"UPDATE sat.stream_heads SET version = 7 WHERE stream = '{FIRST}'",
            FindingKind.HEAD_MISMATCH,
            FIRST,
        ),
        (f"DELETE FROM sat.stream_heads WHERE stream = '{FIRST}'", FindingKind.HEAD_MISSING, FIRST),
        (
            f"DELETE FROM sat.events WHERE stream = '{FIRST}' AND version = 1",
            FindingKind.STREAM_DOES_NOT_FOLD,
            FIRST,
        ),
    ],
)
def test_a_difference_is_found_where_it_is(
    filled: ApplicationDatabase, statement: str, kind: FindingKind, place: str
) -> None:
    """Exactly one finding, and no value of a customer in it."""
    damage(filled, statement)
    found = Found()
    comparison = compare(filled, found)
    assert not comparison.is_clean
    assert [(finding.kind, finding.place) for finding in found.findings] == [(kind, place)]


def test_rows_of_streams_that_do_not_exist_are_found(filled: ApplicationDatabase) -> None:
    """A projection, a movement and a head that no event accounts for."""
    damage(filled, f"DELETE FROM sat.events WHERE stream = '{FIRST}'")
    found = Found()
    compare(filled, found)
    assert [(finding.kind, finding.place) for finding in found.findings] == [
        (FindingKind.PROJECTION_WITHOUT_EVENTS, FIRST),
        (FindingKind.PROJECTION_WITHOUT_EVENTS, FIRST),
        (FindingKind.HEAD_WITHOUT_EVENTS, FIRST),
    ]


def test_a_difference_names_the_members_that_differ(filled: ApplicationDatabase) -> None:
    """Enough to look at, nothing to leak."""
    damage(filled, "UPDATE sat.orders SET client_number = '0999'")
    found = Found()
    compare(filled, found)
    assert len(found.findings) == ORDERS
    assert found.findings[0].found == "other values in client_number"


def test_a_document_has_only_members_with_a_value(filled: ApplicationDatabase) -> None:
    """Absent and null are the same: an order that has no other members has no document after a rebuild."""
    others = "SELECT count(*) FROM sat.orders CROSS JOIN jsonb_each(document) AS m WHERE m.value = 'null'"
    before = derived(filled)
    damage(filled, "UPDATE sat.orders SET document = '{\"held_rupiah\": null}' || coalesce(document, '{}')")
    assert execute(filled.owner_dsn, others) == [(ORDERS,)]
    found = Found()
    assert compare(filled, found).is_clean, found.findings
    rebuild_as(filled.owner_dsn)
    assert execute(filled.owner_dsn, others) == [(0,)]
    assert derived(filled) == before


def test_a_rebuild_from_zero_is_identical(
    filled: ApplicationDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dropped rows, changed rows and invented rows all end as the log says, whatever the group size."""
    monkeypatch.setattr(rebuild, "STREAMS_PER_GROUP", 2)
    before = derived(filled)
    damage(
        filled,
        "DELETE FROM sat.batches",
        f"DELETE FROM sat.orders WHERE request_id = '{KEY}'",
        "UPDATE sat.orders SET state = 'failed'",
        f"UPDATE sat.stream_heads SET stream = 'order/{'A' * 32}' WHERE stream = '{FIRST}'",
        "UPDATE sat.order_movements SET position = -position, state = 'failed'",
        "INSERT INTO sat.limit_usage SELECT 'another', 'batch/B', 7, 7",
    )
    assert derived(filled) != before
    rebuilt = rebuild_as(filled.owner_dsn)
    assert (rebuilt.orders, rebuilt.batches) == (ORDERS, 1)
    assert derived(filled) == before
    assert compare(filled, Found()).is_clean


def test_a_rebuild_keeps_movements_where_their_index_finds_them(filled: ApplicationDatabase) -> None:
    """On disk they stand by position, as appends write them: a day is a few pages, not some of every page."""
    rebuild_as(filled.owner_dsn)
    positions = [
        position
        for (position,) in execute(filled.owner_dsn, "SELECT position FROM sat.order_movements ORDER BY ctid")
    ]
    assert len(positions) == ORDERS
    assert positions == sorted(positions)


def test_orders_go_on_after_a_rebuild(filled: ApplicationDatabase) -> None:
    """Heads are right, so the next append of a stream is accepted."""
    rebuild_as(filled.owner_dsn)
    store = PostgresEventStore(Database(filled.writer_dsn))
    with closing(store.database):
        order = store.load_orders([KEY])[KEY]
        assert store.append([change_of(order, 1, SUCCEEDED)], BY_TEST, T0) == frozenset()
    assert compare(filled, Found()).is_clean


def test_a_log_that_does_not_fold_is_not_rebuilt(filled: ApplicationDatabase) -> None:
    """Nothing is changed: a damaged log must not cost the projections as well."""
    damage(filled, f"DELETE FROM sat.events WHERE stream = '{FIRST}' AND version = 1")
    before = derived(filled)
    with pytest.raises(RebuildRefusedError, match=KEY):
        rebuild_as(filled.owner_dsn)
    assert derived(filled) == before


def test_only_the_owner_rebuilds(filled: ApplicationDatabase) -> None:
    """The pipeline's own role cannot empty what it maintains."""
    before = derived(filled)
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        rebuild_as(filled.writer_dsn)
    assert derived(filled) == before


def test_appends_go_on_during_a_rebuild(filled: ApplicationDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """Old orders and new ones change all the time, none of them waits long, and every row ends right."""
    monkeypatch.setattr(rebuild, "STREAMS_PER_LOCK", 2)
    damage(filled, "UPDATE sat.orders SET committed_rupiah = 1")
    store = PostgresEventStore(Database(filled.writer_dsn))
    longest = 0.0
    appended = 0
    is_over = threading.Event()

    def append_on() -> None:
        nonlocal longest, appended
        while not is_over.is_set():
            began = time.monotonic()
            number = 1000 + appended
            assert not store.append([change_of(None, number, received(number))], BY_TEST, T0)
            old = appended % ORDERS + 1
            order = store.load_orders([stream_of(old).key])[stream_of(old).key]
            assert not store.append([change_of(order, old, SUCCEEDED)], BY_TEST, T0)
            longest = max(longest, time.monotonic() - began)
            appended += 1

    appending = threading.Thread(target=append_on)
    appending.start()
    for _ in range(3):
        rebuild_as(filled.owner_dsn)
    is_over.set()
    appending.join(60)
    store.database.close()
    assert appended > 3
    assert longest < 5
    found = Found()
    assert compare(filled, found).is_clean, found.findings


def test_a_rebuild_waits_for_an_append_to_the_same_order_only(filled: ApplicationDatabase) -> None:
    """While that append is in flight, other orders go on; what it commits is in the rebuilt rows."""
    store = PostgresEventStore(Database(filled.writer_dsn))
    before = store.load_orders([KEY])[KEY]
    with closing(psycopg2.connect(filled.writer_dsn)) as slow:
        PostgresEventStore(OneTransaction(slow)).append([change_of(before, 1, SUCCEEDED)], BY_TEST, T0)
        rebuilding = threading.Thread(target=rebuild_as, args=(filled.owner_dsn,))
        rebuilding.start()
        rebuilding.join(timeout=0.5)
        assert rebuilding.is_alive()
        assert not store.append([change_of(None, 50, received(50))], BY_TEST, T0)
        slow.commit()
        rebuilding.join(timeout=60)
    store.database.close()
    assert compare(filled, Found()).is_clean


def test_without_a_database_the_error_is_typed() -> None:
    """Nothing to verify against is no finding."""
    with pytest.raises(StoreUnavailableError):
        rebuild_as("host=127.0.0.1 port=1 user=u password=p dbname=d")
