"""Checkpoints: made, chained, published; and every damage that they alone show is found and located."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.errors
import pytest

from sat_hook.audit import checkpoints
from sat_hook.audit.alerts import backdated_events
from sat_hook.audit.checkpoint_verification import Trust
from sat_hook.audit.checkpoints import make_checkpoints, name_of, publish_checkpoints, stray_checkpoints
from sat_hook.audit.errors import CheckpointAheadError, CheckpointForkedError, UnknownAuditKeyError
from sat_hook.audit.findings import FindingKind
from sat_hook.audit.keys import AuditSigner, AuditVerifier, new_audit_key
from sat_hook.audit.log_verification import Verification, verify_log
from sat_hook.store.database import Database
from sat_hook.store.postgres import PostgresEventStore
from stack.databases import ApplicationDatabase
from tests.at_once import at_once
from tests.integration.audit.damage import Found, damage, fill, order_stream
from tests.integration.audit.keeping import EVENT_COLUMNS, Notary, forge_checkpoints, rewrite_event
from tests.orders import T0, ManualClock
from tests.sql import execute

EVENTS, SIZE = 12, 4


@pytest.fixture
def notary(
    database: ApplicationDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Notary]:
    """Twelve orders of one event under three published checkpoints of four, and one event beyond them."""
    monkeypatch.setattr(checkpoints, "MAXIMUM_EVENTS", SIZE)
    notary = Notary(database, tmp_path / "published")
    notary.append(1, EVENTS)
    assert len(notary.make()) == EVENTS // SIZE
    notary.append(EVENTS + 1, 1)
    return notary


def only(found: Found, kind: FindingKind) -> list[str]:
    """The texts of all findings, which are of one kind."""
    assert {finding.kind for finding in found.findings} == {kind}, found.findings
    return [str(finding) for finding in found.findings]


def remove_order(number: int) -> tuple[str, ...]:
    """Statements after which nothing in the tables speaks of an order any more."""
    stream = order_stream(number)
    return (
        f"DELETE FROM sat.events WHERE stream = '{stream}'",
        f"DELETE FROM sat.stream_heads WHERE stream = '{stream}'",
        f"DELETE FROM sat.orders WHERE 'order/' || request_id = '{stream}'",
    )


def test_a_log_under_checkpoints_is_whole(notary: Notary) -> None:
    """What is covered, what is not yet, how far it was published; all as the reader's role."""
    verification, found = notary.verify()
    assert found.findings == []
    chain = verification.chain
    assert (chain.checkpoints, chain.covered_position, chain.uncovered_events) == (3, EVENTS, 1)
    assert (chain.signatures_checked, verification.published_number) == (True, 3)
    assert notary.verify(replace(notary.trust, every_copy=True))[1].findings == []


def test_nothing_new_makes_no_checkpoint(notary: Notary) -> None:
    """A quiet minute costs a look."""
    assert len(notary.make()) == 1
    assert notary.make() == []


def test_an_empty_log_has_nothing_to_sign(database: ApplicationDatabase, tmp_path: Path) -> None:
    """And nothing is wrong with it."""
    notary = Notary(database, tmp_path / "published")
    assert notary.make() == []
    assert notary.verify()[1].findings == []


def test_a_checkpoint_says_what_it_covers(notary: Notary) -> None:
    """Closed ranges that follow each other, links, a time; the key by its id alone."""
    folder = notary.folder
    texts = [json.loads(json.loads((folder / name_of(n)).read_bytes())["document"]) for n in (1, 2, 3)]
    assert [(text["first_position"], text["last_position"]) for text in texts] == [(1, 4), (5, 8), (9, 12)]
    assert texts[0]["previous"] == "0" * 64
    copy = json.loads((folder / name_of(1)).read_bytes())
    assert texts[1]["previous"] == copy["digest"]
    assert copy["key_id"] == notary.signer.key_id
    assert texts[0]["made_at"].startswith(T0.date().isoformat())


@pytest.mark.parametrize("role", ["owner_dsn", "writer_dsn"])
def test_checkpoints_only_grow(notary: Notary, role: str) -> None:
    """Neither the pipeline nor the owner changes or removes one."""
    refused = (psycopg2.errors.RestrictViolation, psycopg2.errors.InsufficientPrivilege)
    for statement in ("DELETE FROM sat.checkpoints", "UPDATE sat.checkpoints SET signature = 'x'"):
        with pytest.raises(refused):
            execute(getattr(notary.database, role), statement)


def test_a_changed_event_with_a_digest_that_fits_is_located(notary: Notary) -> None:
    """Nothing else disagrees: the checkpoint does."""
    rewrite_event(notary.database, 6, "0812", "0813")
    _, found = notary.verify()
    [text] = only(found, FindingKind.CHECKPOINT_EVENTS)
    assert "checkpoint 2 (position 5)" in text
    assert "other events at positions 5 to 8" in text


def test_a_changed_event_is_located_at_its_position(notary: Notary) -> None:
    """The digest shows which event; the leaves hold the digest, so the checkpoint stays right."""
    damage(notary.database, "UPDATE sat.events SET actor = 'user:eve' WHERE position = 6")
    _, found = notary.verify()
    only(found, FindingKind.DIGEST_MISMATCH)
    assert [finding.position for finding in found.findings] == [6]


def test_a_changed_time_is_located(notary: Notary) -> None:
    """The time of recording is in no event's digest: it is in the leaf."""
    damage(
        notary.database,
        "UPDATE sat.events SET recorded_at = recorded_at - interval '1 us' WHERE position = 9",
    )
    _, found = notary.verify()
    assert "positions 9 to 12" in only(found, FindingKind.CHECKPOINT_EVENTS)[0]


def test_an_order_that_was_removed_whole_is_located(notary: Notary) -> None:
    """Events, head and projection gone together."""
    damage(notary.database, *remove_order(7))
    _, found = notary.verify()
    [text] = only(found, FindingKind.CHECKPOINT_EVENTS)
    assert "3 events at positions 5 to 8, expected the 4" in text


def test_an_event_that_was_inserted_is_located(notary: Notary) -> None:
    """Into a gap of positions that was closed (here below the first), or in the place of another."""
    stream = order_stream(77)
    copied = (
        "INSERT INTO sat.events ({0}) OVERRIDING SYSTEM VALUE SELECT {1}, '{2}', version, type,"
        " schema_version, data, actor, cause, occurred_at, recorded_at, digest FROM sat.events"
        " WHERE position = 8"
    )
    damage(
        notary.database,
        copied.format(EVENT_COLUMNS, 0, stream),
        f"INSERT INTO sat.stream_heads VALUES ('{stream}', 1)",
    )
    _, found = notary.verify()
    assert any(
        finding.kind is FindingKind.CHECKPOINT_EVENTS and "1 events below position 1" in finding.found
        for finding in found.findings
    )
    damage(
        notary.database,
        "ALTER TABLE sat.events ALTER position SET GENERATED BY DEFAULT",
        *remove_order(3),
        "UPDATE sat.events SET position = 3 WHERE position = 0",
    )
    _, found = notary.verify()
    [finding] = [found for found in found.findings if found.kind is FindingKind.CHECKPOINT_EVENTS]
    assert "other events at positions 1 to 4" in str(finding)


def test_events_that_changed_places_are_located(notary: Notary) -> None:
    """Two orders, so no version is out of order; in one checkpoint, and across two."""
    swap = (
        "UPDATE sat.events SET position = 999 WHERE position = {0}",
        "UPDATE sat.events SET position = {0} WHERE position = {1}",
        "UPDATE sat.events SET position = {1} WHERE position = 999",
    )
    movable = "ALTER TABLE sat.events ALTER position SET GENERATED BY DEFAULT"
    damage(notary.database, movable, *(statement.format(5, 6) for statement in swap))
    _, found = notary.verify()
    assert ["positions 5 to 8" in text for text in only(found, FindingKind.CHECKPOINT_EVENTS)] == [True]
    damage(notary.database, *(statement.format(1, 12) for statement in swap))
    _, found = notary.verify()
    assert len(only(found, FindingKind.CHECKPOINT_EVENTS)) == 3


def test_a_checkpoint_that_was_removed_is_missed(notary: Notary) -> None:
    """From the middle by its number; the last one by its published copy."""
    damage(notary.database, "DELETE FROM sat.checkpoints WHERE number = 2")
    _, found = notary.verify()
    kinds = {finding.kind for finding in found.findings}
    assert FindingKind.CHECKPOINT_CHAIN in kinds
    assert found.findings[0].place == "checkpoint 2"


def test_the_end_of_the_log_cannot_be_cut_off(notary: Notary) -> None:
    """Events, heads, projections and checkpoints of the last range: only the published copy knows."""
    statements = [statement for number in range(9, 14) for statement in remove_order(number)]
    damage(notary.database, *statements, "DELETE FROM sat.checkpoints WHERE number = 3")
    alone, found = notary.verify(replace(notary.trust, published=None))
    assert (alone.is_clean, found.findings) == (True, [])
    verification, found = notary.verify()
    [text] = only(found, FindingKind.PUBLISHED_BEYOND)
    assert "checkpoint 3 (position 9)" in text
    assert "4 events at positions 9 to 12" in text
    assert verification.published_number == 3
    notary.append(40, 4)
    with pytest.raises(CheckpointForkedError) as caught:
        notary.make()
    assert caught.value.number == 3


def test_checkpoints_made_anew_need_the_key(notary: Notary) -> None:
    """With links that fit and a key of the attacker's own."""
    forge_checkpoints(notary.database, AuditSigner(new_audit_key()[0]), {2: {"root": "0" * 64}})
    _, found = notary.verify(replace(notary.trust, published=None))
    kinds = [(finding.kind, finding.place) for finding in found.findings]
    assert kinds == [
        (FindingKind.CHECKPOINT_SIGNATURE, "checkpoint 2"),
        (FindingKind.CHECKPOINT_EVENTS, "checkpoint 2"),
        (FindingKind.CHECKPOINT_SIGNATURE, "checkpoint 3"),
    ]


def test_even_the_key_does_not_reach_what_was_published(notary: Notary) -> None:
    """Event, digest, checkpoints and signatures forged: only the published copies disagree."""
    rewrite_event(notary.database, 6, "0812", "0813")
    _, found = notary.verify()
    with (
        closing(psycopg2.connect(notary.database.superuser_dsn)) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT position, recorded_at, digest FROM sat.events WHERE position BETWEEN 5 AND 8")
        tree = checkpoints.MerkleTree()
        for row in sorted(cursor.fetchall()):
            tree.add(checkpoints.leaf_of(*row))
    forge_checkpoints(notary.database, notary.signer, {2: {"root": tree.root}})
    alone, found = notary.verify(replace(notary.trust, published=None))
    assert (alone.is_clean, found.findings) == (True, [])
    _, found = notary.verify()
    texts = only(found, FindingKind.PUBLISHED_DIFFERS)
    assert [text.partition(":")[0] for text in texts] == [
        "checkpoint 2 (position 5)",
        "checkpoint 3 (position 9)",
    ]


@pytest.mark.parametrize("orders", [0, 3, EVENTS, 30], ids=["empty", "shorter", "as long", "longer"])
@pytest.mark.parametrize("has_key", [False, True], ids=["with a key of one's own", "by our own DAG"])
def test_a_log_that_was_written_anew_from_the_beginning_is_found(
    notary: Notary, orders: int, has_key: bool
) -> None:
    """Another history, whole in itself, under a chain that fits; shorter, as long or longer."""
    tables = "events, checkpoints, stream_heads, orders, batches, accounts, status_evidence"
    with (
        closing(psycopg2.connect(notary.database.superuser_dsn)) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SET session_replication_role = replica")
        for table in tables.split(", "):
            cursor.execute(f"TRUNCATE sat.{table} RESTART IDENTITY")
        connection.commit()
    notary.append(500, orders)
    honest, eve = notary.signer, AuditSigner(new_audit_key()[0])
    if not has_key:
        notary.signer = eve
        notary.make(publish=False)
        notary.signer = honest
    with pytest.raises(CheckpointForkedError):
        notary.make()
    verification, found = notary.verify()
    kinds = {finding.kind for finding in found.findings}
    assert kinds & {FindingKind.PUBLISHED_DIFFERS, FindingKind.PUBLISHED_BEYOND}, found.findings
    assert (FindingKind.CHECKPOINT_SIGNATURE in kinds) is (orders > 0 and not has_key)
    assert not verification.is_clean
    # What cannot be known without the copies is not said either.
    alone, _ = notary.verify(replace(notary.trust, published=None))
    assert (alone.is_clean, alone.published_number) == (orders == 0 or has_key, None)


def test_checkpoints_that_changed_numbers_are_found(notary: Notary) -> None:
    """Two swapped: without the key the texts cannot be changed to say so."""
    forge_checkpoints(
        notary.database,
        AuditSigner(new_audit_key()[0]),
        {1: {"first_position": 101, "last_position": 104}, 2: {"first_position": 1, "last_position": 4}},
    )
    _, found = notary.verify(replace(notary.trust, published=None))
    assert {finding.place for finding in found.findings} >= {"checkpoint 1", "checkpoint 2", "checkpoint 3"}


def test_a_clock_that_goes_back_breaks_nothing(notary: Notary) -> None:
    """Events recorded before those at lower positions are covered, verified, and part of their period. Where
    they begin is told: a person who may only insert could have dated them back."""
    damage(
        notary.database,
        "UPDATE sat.events SET recorded_at = recorded_at - interval '3 hours' WHERE position = 13",
    )
    notary.append(14, 2)
    notary.clock = ManualClock(T0 - timedelta(days=1))
    notary.make()
    verification, found = notary.verify()
    assert (found.findings, verification.chain.uncovered_events) == ([], 0)
    (told,) = backdated_events(verification, notary.clock.now())
    assert "position 13 says that it was recorded" in told.text
    text = json.loads(json.loads((notary.folder / name_of(4)).read_bytes())["document"])
    assert text["recorded_from"] < text["recorded_to"]


def test_a_broken_link_is_found(notary: Notary) -> None:
    """A checkpoint that names another one before it."""
    forge_checkpoints(notary.database, notary.signer, {3: {"previous": "f" * 64}})
    _, found = notary.verify(replace(notary.trust, published=None))
    assert "checkpoint 3" in only(found, FindingKind.CHECKPOINT_CHAIN)[0]


def test_a_range_that_leaves_something_out_is_found(notary: Notary) -> None:
    """Positions between two checkpoints belong to one of them."""
    forge_checkpoints(notary.database, notary.signer, {2: {"first_position": 6}})
    _, found = notary.verify(replace(notary.trust, published=None))
    assert found.findings[0].kind is FindingKind.CHECKPOINT_CHAIN
    assert "begins at position 6, expected one that begins at 5" in str(found.findings[0])


def test_an_unreadable_checkpoint_is_found(notary: Notary) -> None:
    """The others are verified all the same."""
    forge_checkpoints(notary.database, notary.signer, {2: {"format": "sat-checkpoint-9"}})
    _, found = notary.verify(replace(notary.trust, published=None))
    assert only(found, FindingKind.CHECKPOINT_UNREADABLE)


def test_lost_copies_are_found(notary: Notary) -> None:
    """All of them at once, or one of them when every copy is read."""
    (notary.folder / name_of(1)).unlink()
    assert notary.verify()[1].findings == []
    _, found = notary.verify(replace(notary.trust, every_copy=True))
    assert "checkpoint 1" in only(found, FindingKind.PUBLISHED_MISSING)[0]
    for number in (2, 3):
        (notary.folder / name_of(number)).unlink()
    assert only(notary.verify()[1], FindingKind.PUBLISHED_MISSING)


def test_a_published_copy_that_was_altered_is_found(notary: Notary) -> None:
    """The newest always; the others when every copy is read."""
    for number in (1, 3):
        (notary.folder / name_of(number)).write_bytes(b"{}")
    _, found = notary.verify()
    texts = only(found, FindingKind.PUBLISHED_DIFFERS)
    assert [text.partition(":")[0] for text in texts] == ["checkpoint 1", "checkpoint 3"]


def test_publishing_goes_on_where_it_stopped(notary: Notary) -> None:
    """A place that was away for two rounds gets what it missed, and nothing twice."""
    notary.make(publish=False)
    notary.append(30, 2)
    notary.make(publish=False)
    assert notary.verify()[0].published_number == 3
    with closing(Database(notary.database.writer_dsn)) as opened:
        assert publish_checkpoints(opened, notary.publication) == 2
        assert publish_checkpoints(opened, notary.publication) == 0
    assert notary.verify(replace(notary.trust, every_copy=True))[1].findings == []


def test_after_a_restore_publication_goes_on_at_a_new_place(notary: Notary, tmp_path: Path) -> None:
    """Everything is published there again; the old place stays, and shows what was lost."""
    damage(
        notary.database,
        "DELETE FROM sat.checkpoints WHERE number = 3",
        "DELETE FROM sat.events WHERE position > 8",
    )
    notary.append(60, 3)
    with pytest.raises(CheckpointForkedError):
        notary.make()
    old, notary.folder = notary.folder, tmp_path / "anew"
    notary.make()
    verification, _ = notary.verify()
    assert verification.published_number == 3
    assert (notary.folder / name_of(2)).read_bytes() == (old / name_of(2)).read_bytes()
    assert (notary.folder / name_of(3)).read_bytes() != (old / name_of(3)).read_bytes()


def test_something_else_under_a_name_is_never_replaced(notary: Notary) -> None:
    """Publishing stops, loudly."""
    name = name_of(4)
    (notary.folder / name).write_bytes(b"somebody else's")
    with pytest.raises(CheckpointForkedError, match="checkpoint 4"):
        notary.make()
    assert (notary.folder / name).read_bytes() == b"somebody else's"


def test_two_makers_at_once_make_one_chain(notary: Notary) -> None:
    """Each number is given once."""
    notary.append(50, 40)

    def make(_: int) -> int:
        with closing(Database(notary.database.writer_dsn)) as opened:
            return len(make_checkpoints(opened, notary.signer, notary.clock))

    assert sum(at_once(2, make)) == 11
    notary.make()
    verification, found = notary.verify()
    assert (found.findings, verification.chain.uncovered_events) == ([], 0)


def test_an_append_that_locks_late_is_no_missing_end(notary: Notary) -> None:
    """It read the last position given out before others appended: the horizon lies before the checkpoint."""
    with closing(psycopg2.connect(notary.database.writer_dsn)) as late, late.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", (-1 - 8,))
        with closing(Database(notary.database.writer_dsn)) as opened:
            assert PostgresEventStore(opened).horizon() == 8
        assert notary.make() == []


JUNK: dict[str, dict[str, Any]] = {
    "the next number, far positions": {"number": 4, "first_position": 13, "last_position": 10**12},
    "the next number, the next positions": {"number": 4, "first_position": 13, "last_position": 16},
    "a far number": {"number": 999_999, "first_position": 10**9, "last_position": 2 * 10**9},
    "a number that is taken": {"number": 2},
    "a time that is none": {"number": 4, "first_position": 13, "last_position": 14, "recorded_to": "x"},
    "a text that is no checkpoint": {"number": 4, "first_position": 13, "last_position": 14, "format": "y"},
}


def add_junk(notary: Notary, change: dict[str, Any], signature: str = "AA==", *, named: bool = True) -> str:
    """Add a row with the pipeline's role; returns its digest."""
    last = json.loads((notary.folder / name_of(3)).read_bytes())
    members = {**json.loads(last["document"]), **({"previous": last["digest"]} if named else {}), **change}
    document = json.dumps(members, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(document.encode()).hexdigest()
    execute(
        notary.database.writer_dsn,
        "INSERT INTO sat.checkpoints (document, digest, key_id, signature) VALUES (%s, %s, %s, %s)",
        (document, digest, notary.signer.key_id, signature),
    )
    return digest


@pytest.mark.parametrize("change", JUNK.values(), ids=JUNK.keys())
def test_a_row_that_nobody_signed_stops_nothing(notary: Notary, change: dict[str, Any]) -> None:
    """Checkpoints go on after the last one that verifies, the row is named, and it is never published."""
    digest = add_junk(notary, change)
    notary.append(60, 5)
    assert [kept.text.number for kept in notary.make()] == [4, 5]
    published = [json.loads(path.read_bytes()) for path in sorted(notary.folder.rglob("*.json"))]
    assert [json.loads(copy["document"])["number"] for copy in published] == [1, 2, 3, 4, 5]
    assert digest not in [copy["digest"] for copy in published]
    with closing(Database(notary.database.writer_dsn)) as opened:
        strays = stray_checkpoints(opened, notary.keys, datetime(2020, 1, 1, tzinfo=UTC))
    assert [stray.digest for stray in strays] == [digest]
    verification, found = notary.verify()
    assert [finding.kind for finding in found.findings] == [FindingKind.CHECKPOINT_STRAY]
    assert (verification.chain.checkpoints, verification.chain.uncovered_events) == (5, 0)
    # What is damaged after the row is found as if it were not there.
    rewrite_event(notary.database, EVENTS + 2, "50k-simpati", "99k-evil")
    _, found = notary.verify()
    assert only_kinds(found) == {FindingKind.CHECKPOINT_STRAY, FindingKind.CHECKPOINT_EVENTS}


def only_kinds(found: Found) -> set[FindingKind]:
    """The kinds that were found."""
    return {finding.kind for finding in found.findings}


def test_many_rows_of_one_number_hide_nothing(notary: Notary, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are, the one that is signed is found among them."""
    monkeypatch.setattr("sat_hook.store.checkpoints.PAGE", 3)
    for extra in range(10):
        add_junk(notary, {"number": 3, "events": 5 + extra}, named=False)
    notary.append(60, 1)
    assert [kept.text.number for kept in notary.make()] == [4]
    assert only_kinds(notary.verify()[1]) == {FindingKind.CHECKPOINT_STRAY}


def test_a_signature_over_another_log_is_no_link(notary: Notary) -> None:
    """A genuine checkpoint of another database with the same key does not follow ours."""
    text = {"number": 4, "first_position": 13, "last_position": 14, "previous": "f" * 64}
    last = json.loads((notary.folder / name_of(3)).read_bytes())
    document = json.dumps({**json.loads(last["document"]), **text}, sort_keys=True, separators=(",", ":"))
    add_junk(notary, text, notary.signer.sign(document.encode()), named=False)
    notary.append(60, 1)
    assert [kept.text.number for kept in notary.make()] == [4]


def test_a_signed_checkpoint_beyond_the_log_is_told(notary: Notary) -> None:
    """The log has lost its end: nothing is signed over what takes its place."""
    damage(notary.database, "DELETE FROM sat.events WHERE position > 8")
    with pytest.raises(CheckpointAheadError, match="ends at position 8"):
        notary.make()


def test_a_key_that_is_not_named_begins_no_second_chain(notary: Notary) -> None:
    """After a change of the key, checkpoints wait for the older public key, in words."""
    notary.signer = AuditSigner(new_audit_key()[0])
    with pytest.raises(UnknownAuditKeyError, match="older public key"):
        notary.make()


def test_a_key_can_be_changed(notary: Notary) -> None:
    """Both public keys are trusted; without the older one, what it signed is unproven."""
    old, notary.signer = notary.signer, AuditSigner(new_audit_key()[0])
    notary.older.append(old)
    assert len(notary.make()) == 1
    both = AuditVerifier([notary.signer.public_key_pem(), old.public_key_pem()])
    assert notary.verify(Trust(both, notary.publication))[1].findings == []
    _, found = notary.verify()
    assert len(only(found, FindingKind.CHECKPOINT_SIGNATURE)) == 3
    assert old.key_id in str(found.findings[0])


def test_without_a_key_signatures_are_not_looked_at(notary: Notary) -> None:
    """And the verification says so."""
    verification, found = notary.verify(Trust())
    assert found.findings == []
    assert verification.chain.signatures_checked is False
    assert verification.published_number is None


@pytest.fixture
def aged(notary: Notary) -> Notary:
    """The first two checkpoints are of ten days ago and verified, the third and what is beyond are new."""
    forge = {number: {"recorded_to": "2026-01-01T00:00:00.000000+00:00"} for number in (1, 2)}
    forge_checkpoints(notary.database, notary.signer, forge)
    shutil.rmtree(notary.folder)
    notary.make()
    return notary


def look_since(notary: Notary, checkpoint: int = 2) -> tuple[Verification, Found]:
    """What the nightly verification does, after the last one ended with this checkpoint."""
    found = Found()
    with closing(Database(notary.database.writer_dsn)) as opened:
        return verify_log(opened, found, notary.trust, after_checkpoint=checkpoint), found


def test_the_last_days_alone_can_be_looked_at(aged: Notary) -> None:
    """From the beginning of the first checkpoint that has something of them, and what is beyond the last."""
    verification, found = look_since(aged)
    assert found.findings == []
    assert (verification.events, verification.chain.first_checkpoint) == (5, 3)
    assert (verification.chain.checkpoints, verification.chain.covered_position) == (4, EVENTS + 1)
    assert verification.published_number == 4


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("UPDATE sat.events SET actor = 'user:eve' WHERE position = 9", FindingKind.DIGEST_MISMATCH),
        ("DELETE FROM sat.events WHERE position = 12", FindingKind.CHECKPOINT_EVENTS),
        ("DELETE FROM sat.checkpoints WHERE number = 3", FindingKind.CHECKPOINT_CHAIN),
        ("DELETE FROM sat.checkpoints WHERE number = 4", FindingKind.PUBLISHED_BEYOND),
        ("UPDATE sat.checkpoints SET signature = 'bm8=' WHERE number = 2", FindingKind.CHECKPOINT_SIGNATURE),
        ("DELETE FROM sat.checkpoints", FindingKind.PUBLISHED_BEYOND),
        ("UPDATE sat.stream_heads SET version = 9 WHERE stream = '{0}'", FindingKind.HEAD_MISMATCH),
    ],
)
def test_damage_of_the_last_days_is_found_in_them(aged: Notary, statement: str, kind: FindingKind) -> None:
    """As in the whole log; the checkpoint before is the anchor."""
    damage(aged.database, statement.format(order_stream(10)))
    _, found = look_since(aged)
    assert kind in {finding.kind for finding in found.findings}


def test_a_row_from_the_future_moves_no_beginning(aged: Notary) -> None:
    """On a quiet day, too: the chain is read from its end, and no alert about late events is raised."""
    far = {"number": 999_999, "first_position": 10**9, "last_position": 10**10, "recorded_to": "9999-01-01Z"}
    add_junk(aged, far)
    found = Found()
    with closing(Database(aged.database.writer_dsn)) as opened:
        quiet = verify_log(opened, found, aged.trust, after_checkpoint=4).chain
    assert [finding.kind for finding in found.findings] == [FindingKind.CHECKPOINT_STRAY]
    assert (quiet.first_checkpoint, quiet.checkpoints, quiet.uncovered_events) == (5, 4, 0)


def test_rows_that_name_each_other_move_no_beginning(aged: Notary) -> None:
    """A false checkpoint before the first one that is looked at hides none of the last days' events."""
    old = "2026-01-01T00:00:00.000000+00:00"
    before = add_junk(aged, {"number": 2, "last_position": 10**12, "recorded_to": old})
    add_junk(aged, {"number": 3, "first_position": 10**12 + 1, "last_position": 10**13, "previous": before})
    damage(aged.database, "UPDATE sat.checkpoints SET recorded_at = 'epoch' WHERE signature = 'AA=='")
    verification, found = look_since(aged)
    assert (verification.events, verification.chain.first_checkpoint) == (5, 3)
    assert {finding.kind for finding in found.findings} == {FindingKind.CHECKPOINT_STRAY}


def test_older_damage_waits_for_the_whole_look(aged: Notary) -> None:
    """What only the older events show; a checkpoint, a link or a copy that was changed shows at once."""
    damage(aged.database, "UPDATE sat.events SET actor = 'user:eve' WHERE position = 2")
    assert look_since(aged)[1].findings == []
    assert len(aged.verify()[1].findings) == 1


def test_signed_texts_of_the_last_days_are_held_against_their_digests(
    database: ApplicationDatabase, tmp_path: Path
) -> None:
    """Those that the events name, if the role may read them."""
    notary = Notary(database, tmp_path / "published")
    notary.append(30, 1)
    notary.make(publish=False)
    fill(database)
    notary.make()
    verification, found = look_since(notary, 1)
    assert (found.findings, verification.chain.first_checkpoint) == ([], 2)
    damage(database, "UPDATE sat.status_evidence SET body = '{}'")
    assert [finding.kind for finding in look_since(notary, 1)[1].findings] == [FindingKind.EVIDENCE_CHANGED]
    damage(database, "DELETE FROM sat.status_evidence")
    assert {finding.kind for finding in look_since(notary, 1)[1].findings} == {FindingKind.EVIDENCE_MISSING}
