"""Closed days are computed again at their own positions, by any role that may read their evidence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sat_hook.application.replayed_days import ClosedDays
from sat_hook.audit.findings import FindingKind
from sat_hook.audit.replay import Replay, Verdict, replay
from sat_hook.domain import order_events as happened
from sat_hook.store.database import Database
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.store.spool import AnySpool
from stack.databases import ApplicationDatabase
from tests.integration.audit.damage import Found, damage
from tests.integration.reconciliation.planting import CLOSES, PRICE, SECOND, Planted
from tests.unit.cli.running import Run


@pytest.fixture
def closed(database: ApplicationDatabase, tmp_path: Path) -> Iterator[Planted]:
    """A day that was closed with one break: an amount in the settlement file that is not ours."""
    with closing(Database(database.writer_dsn)) as opened:
        day = Planted(PostgresEventStore(opened), tmp_path, "books")
        day.ordinary_day()
        day.observe(CLOSES + SECOND)
        day.settle(*day.usual_rows("good-1"), day.settlement_row("good-1", PRICE + 500))
        day.close()
        yield day


def replayed(dsn: str, found: Found) -> Replay:
    """Everything that was ever closed, again."""
    with closing(Database(dsn)) as opened:
        return replay(opened, [ClosedDays(PostgresEventStore(opened), AnySpool())], found)


def test_a_closed_day_comes_to_the_same(closed: Planted, database: ApplicationDatabase) -> None:
    """Also after evidence that came later, and after the day was closed again with it."""
    found = Found()
    assert replayed(database.owner_dsn, found).reports == {"closed days": {Verdict.EQUAL: 1}}
    closed.end("good-2", CLOSES + 60 * SECOND, happened.OrderReversed)
    closed.top_up(1_000)
    closed.close()
    assert replayed(database.owner_dsn, found).reports == {"closed days": {Verdict.EQUAL: 2}}
    assert found.findings == []


def test_a_day_is_replayed_from_the_log_alone(closed: Planted, database: ApplicationDatabase) -> None:
    """Before a deploy the rows of movements are another release's, or there is no such table yet."""
    damage(
        database,
        "DROP TABLE sat.order_movements CASCADE",
        "COMMENT ON SCHEMA sat IS 'the shape of an older release'",
    )
    found = Found()
    assert replayed(database.owner_dsn, found).reports == {"closed days": {Verdict.EQUAL: 1}}
    assert found.findings == []


def test_another_result_is_found_with_what_is_other(closed: Planted, database: ApplicationDatabase) -> None:
    """Orders, breaks and the terms of the saldo equation, by name; no amount of a customer."""
    damage(
        database,
        f"UPDATE sat.events SET data = replace(data, '\"sales_price_rupiah\":{PRICE}',"
        f" '\"sales_price_rupiah\":{PRICE + 500}') WHERE type = 'OrderSucceeded'"
        f" AND stream = 'order/{closed.request_id('good-1')}'",
    )
    found = Found()
    assert replayed(database.owner_dsn, found).reports == {"closed days": {Verdict.DIFFERS: 1}}
    [finding] = [one for one in found.findings if one.kind is FindingKind.REPORT_DIFFERS]
    assert finding.place.startswith("account/")
    assert "day 2026-11-02 with digest" in finding.found
    assert "breaks" in finding.found
    assert "debits_rupiah" in finding.found


def test_without_its_settlement_file_a_day_cannot_be_compared(
    closed: Planted, database: ApplicationDatabase
) -> None:
    """That is trouble, and said so."""
    for path in closed.folder.rglob("*.csv"):
        path.unlink()
    found = Found()
    replayed(database.owner_dsn, found)
    assert [finding.kind for finding in found.findings] == [FindingKind.REPORT_UNAVAILABLE]


@pytest.mark.usefixtures("closed")
def test_who_may_not_read_signed_texts_is_told_how(database: ApplicationDatabase, run: Run) -> None:
    """The reader compares everything else; the owner compares all."""
    env = {"SAT_DB_DSN": database.reader_dsn, "SAT_OWNER_DSN": database.owner_dsn}
    reader = run("replay", env=env)
    assert (reader.code, reader.err) == (0, "")
    assert "closed days given out after position 0: 1 not comparable" in reader.out
    assert "--as-owner compares them" in reader.out
    owner = run("replay", "--as-owner", env=env)
    assert (owner.code, "closed days given out after position 0: 1 equal" in owner.out) == (0, True)
