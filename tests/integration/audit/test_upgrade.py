"""A release that keeps other things in the derived tables rebuilds them once."""

from __future__ import annotations

import psycopg2

from sat_hook.audit import rebuild
from sat_hook.audit.rebuild import compare_projections, rebuild_after_upgrade
from sat_hook.store.database import Database
from sat_hook.store.postgres import PostgresEventStore
from stack.databases import ApplicationDatabase
from tests.orders import BY_TEST, T0, change_of, received


def test_an_upgrade_rebuilds_what_an_older_release_left(database: ApplicationDatabase) -> None:
    """Documents without a newer member are found by their shape and made anew; then nothing is left to do."""
    writer = Database(database.writer_dsn)
    PostgresEventStore(writer).append([change_of(None, 1, received(1))], BY_TEST, T0)
    writer.close()
    connection = psycopg2.connect(database.owner_dsn)
    with connection, connection.cursor() as cursor:
        cursor.execute("UPDATE sat.orders SET document = document - 'payload_digest'")
        cursor.execute("COMMENT ON SCHEMA sat IS 'the shape of an older release'")
    connection.close()

    owner = Database(database.owner_dsn)
    findings: list[object] = []
    assert not compare_projections(owner, findings.append).is_clean
    rebuilt = rebuild_after_upgrade(owner)
    assert rebuilt is not None
    assert rebuilt.orders == 1
    assert compare_projections(owner, findings.append).is_clean
    assert rebuild_after_upgrade(owner) is None
    owner.close()


def test_the_shape_is_that_of_every_derived_document() -> None:
    """The fingerprint is stable within a release."""
    assert rebuild.projection_shape() == rebuild.projection_shape()
