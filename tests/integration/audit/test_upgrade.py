"""A release that keeps other things in the derived tables rebuilds them once."""

from __future__ import annotations

from contextlib import closing

import pytest

from sat_hook.audit import rebuild
from sat_hook.audit.rebuild import compare_projections, rebuild_after_upgrade, rebuild_projections
from sat_hook.audit.replay import replay
from sat_hook.domain.business_day import business_day
from sat_hook.domain.funds import ALWAYS
from sat_hook.domain.guards import Usage
from sat_hook.shipped import shipped
from sat_hook.store import migrations
from sat_hook.store.database import Database
from sat_hook.store.funds import PostgresFunds
from sat_hook.store.guards import PostgresGuardLedger
from sat_hook.store.postgres import PostgresEventStore
from stack.databases import ApplicationDatabase
from tests.integration.audit.damage import damage, fill
from tests.orders import ACCOUNT, BATCH, BY_TEST, T0, change_of, received
from tests.sql import execute
from tests.unit.cli.running import runner

MOST = 1_000_000_000_000
ADDED = "20261130083001_order_sums_and_movements"
"""The migration that adds derived columns and rows."""
BY_COLUMNS = "20261201041501_orders_by_columns"
"""The migration that gives an order's members columns of their own."""


def test_an_upgrade_rebuilds_what_an_older_release_left(database: ApplicationDatabase) -> None:
    """Documents without a newer member are found by their shape and rebuilt; then nothing is left to do."""
    writer = Database(database.writer_dsn)
    PostgresEventStore(writer).append([change_of(None, 1, received(1))], BY_TEST, T0)
    writer.close()
    execute(database.owner_dsn, "UPDATE sat.orders SET payload_digest = ''")
    execute(database.owner_dsn, "COMMENT ON SCHEMA sat IS 'the shape of an older release'")

    owner = Database(database.owner_dsn)
    findings: list[object] = []
    assert not compare_projections(owner, findings.append).is_clean
    rebuilt = rebuild_after_upgrade(owner)
    assert rebuilt is not None
    assert rebuilt.orders == 1
    assert compare_projections(owner, findings.append).is_clean
    assert rebuild_after_upgrade(owner) is None
    owner.close()


def test_rows_are_the_same_after_a_release_was_taken_back(database: ApplicationDatabase) -> None:
    """Taken back, documents have all members as the older release wrote them; then rows are as before."""
    fill(database)
    rows = "SELECT * FROM sat.orders ORDER BY request_id"
    before = execute(database.owner_dsn, rows)
    with closing(Database(database.writer_dsn)) as opened:
        orders = PostgresEventStore(opened).load_orders([row[0] for row in before])
    go_back(database, BY_COLUMNS)
    documents = dict(execute(database.owner_dsn, "SELECT request_id, document FROM sat.orders"))
    assert documents == {
        key: order.model_dump(mode="json", exclude_none=True) for key, order in orders.items()
    }
    with closing(Database(database.owner_dsn)) as owner:
        owner_findings: list[object] = []
        replayed = replay(owner, [], owner_findings.append)
        assert (replayed.compared > len(orders), owner_findings) == (True, [])
    go_on(database, BY_COLUMNS)
    assert execute(database.owner_dsn, rows) == before


def go_back(database: ApplicationDatabase, to: str) -> None:
    """Take back the migration of this name and all after it."""
    for file in reversed(_since(to)):
        execute(database.owner_dsn, file.partition("-- migrate:down")[2])


def go_on(database: ApplicationDatabase, since: str) -> None:
    """Migrate again."""
    for file in _since(since):
        execute(database.owner_dsn, file.partition("-- migrate:down")[0])
    migrations.apply_privileges(database.owner_dsn)


def _since(name: str) -> list[str]:
    files = sorted((shipped("sql") / "migrations").glob("*.sql"))
    return [file.read_text("utf-8") for file in files if file.stem >= name]


def test_until_it_is_rebuilt_an_order_counts_for_the_most_everywhere(database: ApplicationDatabase) -> None:
    """Between the migration and the rebuild no limit, and no deposit, has room for another order."""
    with closing(Database(database.writer_dsn)) as opened:
        PostgresEventStore(opened).append([change_of(None, 1, received(1))], BY_TEST, T0)
    go_back(database, ADDED)
    go_on(database, ADDED)

    with closing(Database(database.writer_dsn)) as opened:
        with PostgresFunds(opened).locked(ACCOUNT) as funds:
            assert funds.outstanding(T0).total_rupiah == MOST
            assert funds.outstanding(ALWAYS).total_rupiah == MOST
            assert funds.may_come_back_rupiah(T0) == MOST
        with PostgresGuardLedger(opened).locked(ACCOUNT) as guards:
            assert guards.used_by_batch(BATCH, []) == Usage(1, MOST)
            assert guards.used_on(business_day(T0)) == Usage(1, MOST)

    with closing(Database(database.owner_dsn)) as owner:
        rebuild_projections(owner)
        assert compare_projections(owner, lambda finding: None).is_clean
    with (
        closing(Database(database.writer_dsn)) as opened,
        PostgresGuardLedger(opened).locked(ACCOUNT) as guards,
    ):
        assert guards.used_on(business_day(T0)) == Usage()


def test_nobody_uses_a_new_table_before_it_is_filled(
    database: ApplicationDatabase, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """If the log cannot be folded, `sat db migrate` fails and gives no role a privilege on an empty table."""
    fill(database)
    damage(
        database,
        "DELETE FROM sat.events WHERE type = 'OrderReceived'",
        "COMMENT ON SCHEMA sat IS 'the shape of an older release'",
        "REVOKE ALL ON sat.order_movements FROM sat_writer, sat_reader",
    )
    run = runner(monkeypatch, capsys)
    assert run("db", "migrate", env={"SAT_OWNER_DSN": database.owner_dsn}).code != 0
    assert execute(
        database.owner_dsn,
        "SELECT has_table_privilege('sat_writer', 'sat.order_movements', 'SELECT, INSERT')",
    )[0] == (False,)


def test_the_shape_is_that_of_every_derived_document() -> None:
    """The fingerprint is stable within a release."""
    assert rebuild.projection_shape() == rebuild.projection_shape()
