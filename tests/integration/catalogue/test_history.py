"""The history of prices on PostgreSQL: what snapshots keep, what the database itself refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import psycopg2
import pytest
from psycopg2 import errors

from sat_hook.audit.rebuild import compare_projections, rebuild_projections
from sat_hook.catalogue.snapshot import take_snapshot
from sat_hook.domain.event_record import StreamId, StreamKind
from sat_hook.domain.identity import account_id_of
from sat_hook.domain.prices import ChangeKind, SnapshotOutcome, state_digest
from sat_hook.protocol.errors import ReplyTimeoutError, UnreadableReplyError
from sat_hook.protocol.exchange import FaultKind, TransportFault, WireResponse
from sat_hook.store.database import Database
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.store.prices import PriceHistory
from stack.databases import ApplicationDatabase
from tests.at_once import at_once
from tests.orders import ACCOUNT, BY_TEST, T0, ManualClock
from tests.price_lists import ListingSAT, by_code, document, product
from tests.price_shop import HOUR, LATER, LIST, Shop
from tests.sql import execute


@pytest.fixture
def shop(database: ApplicationDatabase) -> Iterator[Shop]:
    """An empty history, and twenty products."""
    made = Shop(database)
    yield made
    made.writer.close()


def test_only_changes_are_stored(shop: Shop) -> None:
    """Twenty products, then nothing, then one price: 21 lines; the list can be told for every moment."""
    first = shop.snapshot()
    assert (first.snapshot.outcome, len(first.changes)) == (SnapshotOutcome.COMPLETE, 20)
    assert {change.kind for change in first.changes} == {ChangeKind.APPEARED}
    assert shop.snapshot().changes == ()
    shop.change("product-03", price_rupiah=4_100)
    [change] = shop.snapshot().changes
    assert (change.code, change.kind, change.prices_rupiah) == (
        "product-03",
        ChangeKind.CHANGED,
        (4_000, 4_100),
    )
    assert shop.rows("SELECT count(*) FROM sat.price_changes") == [(21,)]

    then, now = T0 + timedelta(hours=1), T0 + timedelta(hours=2)
    before = shop.history.at(ACCOUNT, "product-03", now - timedelta(microseconds=1))
    after = shop.history.at(ACCOUNT, "product-03", now)
    assert before is not None
    assert after is not None
    assert (before.product.price_rupiah, before.since, before.until) == (4_000, T0, now)
    assert (after.product.price_rupiah, after.since, after.until) == (4_100, now, None)
    assert shop.history.at(ACCOUNT, "product-03", T0 - timedelta(seconds=1)) is None
    assert shop.history.listed_at(ACCOUNT, then) == by_code(*LIST)
    [recorded] = shop.history.changes(ACCOUNT, now, LATER)
    assert recorded.change == change


def test_every_member_is_followed(shop: Shop) -> None:
    """Name, price, inquiry flag, status known or not, operator, category; each opens one interval."""
    shop.snapshot()
    steps: list[dict[str, object]] = [
        {"name": "Other"},
        {"price_rupiah": None},
        {"price_rupiah": 0},
        {"is_inquiry": True},
        {"status": 3},
        {"status": 4711},
        {"operator_name": "Telkom"},
        {"category_name": "Token"},
    ]
    for step in steps:
        shop.change("product-00", **step)
        [change] = shop.snapshot().changes
        assert change.attributes == tuple(step)
    periods = shop.history.periods(ACCOUNT, "product-00")
    assert len(periods) == len(steps) + 1
    assert [p.until for p in periods[:-1]] == [p.since for p in periods[1:]], "no gap and no overlap"
    assert periods[-1].until is None


def test_a_product_goes_and_comes_back(shop: Shop) -> None:
    """SAT, asked by name, does not know it: a gap in its intervals; back at another price it has jumped."""
    shop.snapshot()
    shop.remove("product-07")
    [gone] = shop.snapshot().changes
    assert (gone.code, gone.kind, gone.after) == ("product-07", ChangeKind.DISAPPEARED, None)
    assert shop.sat.questions[-1] == ["product-07"]
    assert shop.history.at(ACCOUNT, "product-07", shop.clock.now()) is None
    assert shop.snapshot().changes == (), "what is gone is not asked for again"
    assert shop.sat.questions[-1] == []
    shop.sat.products.append(LIST[7]._replace(price_rupiah=9_000))
    back = shop.snapshot()
    [change] = back.changes
    assert (change.kind, change.before, back.jumps) == (ChangeKind.RETURNED, LIST[7], 1)
    first, second = shop.history.periods(ACCOUNT, "product-07")
    assert first.until is not None
    assert second.since - first.until == timedelta(hours=2)


def test_an_unfiltered_list_of_active_products_hides_nothing(shop: Shop) -> None:
    """A product that left the list because it is inactive is found by its name, with its new status."""
    shop.snapshot()
    shop.sat.unfiltered = lambda line: line.status == 1
    shop.change("product-01", status=2)
    shop.remove("product-02")
    shop.sat.is_strict = True
    changes = {change.code: change for change in shop.snapshot().changes}
    assert changes["product-01"].attributes == ("status",)
    assert changes["product-02"].kind is ChangeKind.DISAPPEARED
    assert len(changes) == 2
    assert shop.snapshot().changes == ()


def test_a_failed_list_is_kept_and_changes_nothing(shop: Shop) -> None:
    """No answer, half an answer, no answer to the question by name: an attempt with its reason."""
    shop.snapshot()
    shop.change("product-00", price_rupiah=1)
    whole = document(shop.sat.products)
    for trouble, error in (
        (TransportFault(FaultKind.TIMEOUT, True, "no answer"), ReplyTimeoutError),
        (WireResponse(200, {}, whole[: len(whole) // 2]), UnreadableReplyError),
    ):
        shop.sat.trouble[len(shop.sat.questions)] = trouble
        with pytest.raises(error):
            shop.snapshot()
        shop.clock.advance(HOUR)
    shop.remove("product-05")
    shop.sat.trouble[len(shop.sat.questions) + 1] = TransportFault(FaultKind.TIMEOUT, True, "no answer")
    with pytest.raises(ReplyTimeoutError):
        shop.snapshot()
    assert shop.listed() == by_code(*LIST)
    failed = shop.history.snapshots(ACCOUNT, T0, LATER)[:3]
    assert {attempt.outcome for attempt in failed} == {SnapshotOutcome.FAILED}
    assert all(attempt.reason for attempt in failed)
    assert [bool(attempt.response_digest) for attempt in failed] == [True, False, False]
    assert shop.rows("SELECT count(*) FROM sat.price_changes") == [(20,)]


def test_a_list_that_is_too_short_is_not_believed(shop: Shop) -> None:
    """Three of twenty gone, an empty list: kept as suspect; a person may believe it by the limit."""
    shop.snapshot()
    shop.change("product-19", price_rupiah=5)
    shop.remove("product-00", "product-01", "product-02")
    doubted = shop.snapshot()
    assert (doubted.snapshot.outcome, doubted.changes) == (SnapshotOutcome.SUSPECT, ())
    assert doubted.snapshot.reason == "found 3 of 20 products missing; expected at most 10 %"
    assert shop.listed() == by_code(*LIST)
    believed = shop.snapshot(missing_limit_percent=15)
    assert [change.kind for change in believed.changes] == [ChangeKind.DISAPPEARED] * 3 + [ChangeKind.CHANGED]
    shop.sat.products = []
    shop.sat.trouble[len(shop.sat.questions)] = WireResponse(200, {}, b'{"data": []}')
    assert shop.snapshot(missing_limit_percent=100).snapshot.outcome is SnapshotOutcome.SUSPECT
    assert len(shop.listed()) == 17
    assert shop.outcomes() == ["complete", "suspect", "complete", "suspect"]


def test_a_partial_list_is_completed_by_name(shop: Shop) -> None:
    """A list that was cut short, with whole JSON: what SAT still knows stays, and is compared."""
    shop.snapshot()
    shop.change("product-12", price_rupiah=77)
    shop.sat.unfiltered = lambda line: line.code < "product-10"
    [change] = shop.snapshot().changes
    assert change.code == "product-12"
    assert len(shop.listed()) == 20


def test_an_older_list_never_overtakes_a_younger_one(shop: Shop) -> None:
    """A slow answer that was asked for earlier is kept as overtaken."""
    shop.snapshot()
    shop.sat.clock = ManualClock(T0 - timedelta(seconds=1))
    shop.change("product-00", price_rupiah=1)
    report = shop.snapshot()
    assert report.snapshot.outcome is SnapshotOutcome.OVERTAKEN
    assert shop.listed() == by_code(*LIST)


def test_a_list_from_the_future_is_no_silence(shop: Shop) -> None:
    """A clock that was far ahead would have all lists overtaken for as long: they are doubted instead."""
    shop.clock.advance(2 * HOUR)
    shop.snapshot()
    shop.clock.advance(-3 * HOUR)
    report = shop.snapshot()
    assert report.snapshot.outcome is SnapshotOutcome.SUSPECT
    assert "yet to come" in (report.snapshot.reason or "")


def test_snapshots_at_once_are_recorded_one_after_the_other(shop: Shop) -> None:
    """Eight writers, five snapshots each, prices that move meanwhile: no overlap, one open row a product."""
    shop.snapshot()

    def work(number: int) -> None:
        clock = ManualClock(shop.clock.now() + timedelta(seconds=number))
        with closing(Database(shop.database.writer_dsn)) as database:
            for turn in range(5):
                lines = [line._replace(price_rupiah=number * 100 + turn) for line in LIST[: number + 1]]
                sat = ListingSAT(clock, *lines, *LIST[number + 1 :])
                take_snapshot(sat, PriceHistory(database), clock, ACCOUNT, BY_TEST)
                clock.advance(8)

    at_once(8, work)
    attempts = shop.history.snapshots(ACCOUNT, T0, LATER)
    assert len(attempts) == 41
    assert {a.outcome for a in attempts} <= {SnapshotOutcome.COMPLETE, SnapshotOutcome.OVERTAKEN}
    assert shop.rows("SELECT count(*) FROM sat.product_prices WHERE upper_inf(valid)") == [(20,)]
    for attempt in attempts:
        if attempt.outcome is SnapshotOutcome.COMPLETE:
            then = shop.history.listed_at(ACCOUNT, attempt.asked_at)
            assert state_digest(then.values()) == attempt.state_digest, "as it was digested then"
    assert compare_projections(Database(shop.database.reader_dsn), _fail).is_clean


def test_the_database_refuses_an_overlap(shop: Shop) -> None:
    """SQL around our code makes neither overlapping intervals nor two open ones nor an empty one."""
    shop.snapshot()
    [(product_id, snapshot_id)] = shop.rows(
        "SELECT product_id, snapshot_id FROM sat.product_prices ORDER BY product_id LIMIT 1"
    )
    into = "INSERT INTO sat.product_prices VALUES (%s, %s, %s, 'n', 1, false, 1, 'o', 'c')"
    far = "[2026-11-10, 2026-11-11)"
    for valid, refusal in (
        (far, errors.ExclusionViolation),
        ("[2026-11-10,)", errors.IntegrityError),
        ("(,2026-01-01)", errors.CheckViolation),
        ("empty", errors.CheckViolation),
    ):
        with pytest.raises(refusal):
            execute(shop.database.writer_dsn, into, (product_id, valid, snapshot_id))
    with closing(psycopg2.connect(shop.database.writer_dsn)) as connection, connection.cursor() as cursor:
        cursor.execute(into, (product_id, "[2026-01-01, 2026-02-01)", snapshot_id))
        cursor.execute(into, (product_id, "[2026-02-01, 2026-03-01)", snapshot_id))


@pytest.mark.parametrize("table", ["products", "price_snapshots", "price_changes"])
def test_evidence_only_grows(shop: Shop, table: str) -> None:
    """Neither the writer nor the owner changes or removes a line."""
    shop.snapshot()
    for dsn, refusal in (
        (shop.database.writer_dsn, errors.InsufficientPrivilege),
        (shop.database.owner_dsn, errors.RestrictViolation),
    ):
        for verb in ("UPDATE sat.{0} SET {1} = {1}", "DELETE FROM sat.{0}"):
            column = "account" if table != "price_changes" else "kind"
            with pytest.raises(refusal):
                execute(dsn, verb.format(table, column))


def test_people_read_and_do_not_write(shop: Shop) -> None:
    """The reader's role sees the history; it records nothing."""
    shop.snapshot()
    reader = Database(shop.database.reader_dsn)
    with closing(reader):
        assert PriceHistory(reader).accounts() == [ACCOUNT]
        with pytest.raises(errors.InsufficientPrivilege):
            take_snapshot(shop.sat, PriceHistory(reader), shop.clock, ACCOUNT, BY_TEST)


def test_intervals_are_derived_from_evidence(shop: Shop) -> None:
    """Damaged ones are found and rebuilt, byte for byte."""
    shop.snapshot()
    shop.remove("product-07")
    shop.change("product-01", price_rupiah=1)
    shop.snapshot()
    shop.sat.products.append(LIST[7])
    shop.snapshot()
    kept = shop.rows("SELECT * FROM sat.product_prices ORDER BY product_id, valid")
    owner = Database(shop.database.owner_dsn)
    with closing(owner):
        assert compare_projections(owner, _fail).is_clean
        with owner.transaction() as connection, connection.cursor() as cursor:
            cursor.execute("UPDATE sat.product_prices SET price_rupiah = 13 WHERE price_rupiah = 1")
            cursor.execute("DELETE FROM sat.product_prices WHERE price_rupiah = 8000")
        places: list[str] = []
        damaged = compare_projections(owner, lambda finding: places.append(finding.place))
        assert not damaged.is_clean
        assert places == [
            f"product_prices of {ACCOUNT}/product-01",
            f"product_prices of {ACCOUNT}/product-07",
        ]
        rebuild_projections(owner)
        assert compare_projections(owner, _fail).is_clean
    assert shop.rows("SELECT * FROM sat.product_prices ORDER BY product_id, valid") == kept


def test_a_change_is_an_event_of_the_account(shop: Shop) -> None:
    """The log names the snapshot and its digests, so checkpoints cover the prices; no change, no event."""
    first = shop.snapshot()
    shop.snapshot()
    stream = StreamId(StreamKind.ACCOUNT, account_id_of(ACCOUNT))
    [recorded] = PostgresEventStore(shop.writer).read_stream(stream)
    data = json.loads(recorded.data)
    assert recorded.type_name == "PriceListChanged"
    assert data["snapshot_id"] == first.snapshot.snapshot_id
    assert data["state_digest"] == first.snapshot.state_digest == state_digest(LIST)
    assert (data["listed"], data["changes"]) == (20, 20)


def test_jumps_are_noted_for_people_once(shop: Shop) -> None:
    """Over the threshold, in the snapshot's own transaction; the text is code, rupiah, percent."""
    shop.snapshot()
    shop.change("product-00", price_rupiah=1_500)
    shop.change("product-09", price_rupiah=10_500)
    shop.change("product-10", name="Other")
    assert shop.snapshot(jump_percent=10).jumps == 1
    assert shop.rows("SELECT kind, account, subject, text FROM sat.alerts") == [
        ("price_jump", ACCOUNT, "product-00", "product-00: 1,000 → 1,500 rupiah (+50.0 %)")
    ]


def test_announcements_are_repeated_by_the_same_run_only(shop: Shop) -> None:
    """A run that died after its note announces again; another run does not."""
    first = shop.snapshot()
    [open_one] = shop.history.unannounced(ACCOUNT, "run-1")
    assert open_one.snapshot_id == first.snapshot.snapshot_id
    assert len(shop.history.changes_of(ACCOUNT, open_one)) == 20
    shop.history.mark_announced([open_one.snapshot_id], "run-1", T0)
    assert shop.history.unannounced(ACCOUNT, "run-1") == [open_one]
    assert shop.history.unannounced(ACCOUNT, "run-2") == []
    shop.history.mark_announced([open_one.snapshot_id], "run-2", T0)
    assert shop.history.unannounced(ACCOUNT, "run-2") == []


def test_accounts_share_nothing(shop: Shop) -> None:
    """Prices are negotiated: the same code has two histories."""
    shop.snapshot()
    other = ListingSAT(shop.clock, product("product-00", 7))
    take_snapshot(other, shop.history, shop.clock, "other", BY_TEST)
    assert shop.history.accounts() == [ACCOUNT, "other"]
    assert len(shop.history.listed_at("other", shop.clock.now())) == 1
    assert len(shop.listed()) == 20


def _fail(finding: object) -> None:
    raise AssertionError(str(finding))
