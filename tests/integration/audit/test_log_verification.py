"""Every kind of damage to the log is found, and found where it is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sat_hook.audit.errors import RebuildRefusedError
from sat_hook.audit.findings import FindingKind
from sat_hook.audit.log_verification import Verification, verify_log
from sat_hook.audit.rebuild import compare_projections, rebuild_projections
from sat_hook.domain.identity import request_id_of
from sat_hook.store.database import Database
from sat_hook.store.postgres import PostgresEventStore
from stack.databases import ApplicationDatabase
from tests.integration.audit.damage import ORDERS, PROOF, Found, damage, fill, order_stream
from tests.integration.audit.keeping import Notary
from tests.integration.calling_back import receive_callback
from tests.orders import ACCOUNT, BY_TEST, T0, change_of, received

FIRST, SECOND = order_stream(1), order_stream(2)


@pytest.fixture
def filled(database: ApplicationDatabase) -> Iterator[ApplicationDatabase]:
    """A log without damage."""
    fill(database)
    return database


def verify(dsn: str, found: Found) -> Verification:
    """Verify with this role."""
    with closing(Database(dsn)) as opened:
        return verify_log(opened, found)


def test_a_whole_log_is_clean(filled: ApplicationDatabase) -> None:
    """The reader verifies everything but the bytes that it may not see; the owner those as well."""
    found = Found()
    by_reader = verify(filled.reader_dsn, found)
    assert found.findings == []
    assert by_reader.is_clean
    assert (by_reader.events, by_reader.streams, by_reader.evidence_read) == (
        3 * ORDERS + 1,
        ORDERS + 1,
        False,
    )
    assert by_reader.closed_position == 3 * ORDERS + 1
    assert verify(filled.owner_dsn, found).evidence_read
    assert found.findings == []


def test_an_empty_log_is_clean(database: ApplicationDatabase) -> None:
    """Nothing is whole."""
    assert verify(database.reader_dsn, Found()).is_clean


AT_FIRST = f"WHERE stream = '{FIRST}' AND version = "


@pytest.mark.parametrize(
    ("statement", "kind", "place", "version"),
    [
        (
            f"UPDATE sat.events SET data = replace(data, '52000', '42000') {AT_FIRST} 2",
            FindingKind.DIGEST_MISMATCH,
            FIRST,
            2,
        ),
        (f"UPDATE sat.events SET actor = 'user:eve' {AT_FIRST} 1", FindingKind.DIGEST_MISMATCH, FIRST, 1),
        (
            f"UPDATE sat.events SET occurred_at = occurred_at + interval '1 us' {AT_FIRST} 3",
            FindingKind.DIGEST_MISMATCH,
            FIRST,
            3,
        ),
        (
            f"UPDATE sat.events SET digest = repeat('0', 64) {AT_FIRST} 3",
            FindingKind.DIGEST_MISMATCH,
            FIRST,
            3,
        ),
        (f"DELETE FROM sat.events {AT_FIRST} 2", FindingKind.VERSION_GAP, FIRST, 3),
        (f"DELETE FROM sat.events {AT_FIRST} 1", FindingKind.VERSION_GAP, FIRST, 2),
        (f"DELETE FROM sat.events {AT_FIRST} 3", FindingKind.HEAD_MISMATCH, FIRST, None),
        (
            f"UPDATE sat.stream_heads SET version = 9 WHERE stream = '{SECOND}'",
            FindingKind.HEAD_MISMATCH,
            SECOND,
            None,
        ),
        (f"DELETE FROM sat.stream_heads WHERE stream = '{SECOND}'", FindingKind.HEAD_MISSING, SECOND, None),
        (f"DELETE FROM sat.events WHERE stream = '{FIRST}'", FindingKind.HEAD_WITHOUT_EVENTS, FIRST, None),
        ("DELETE FROM sat.status_evidence", FindingKind.EVIDENCE_MISSING, None, 3),
        (
            "UPDATE sat.status_evidence SET body = '{}'",
            FindingKind.EVIDENCE_CHANGED,
            f"status_evidence/{PROOF.digest}",
            None,
        ),
    ],
)
def test_damage_is_found_where_it_is(
    filled: ApplicationDatabase, statement: str, kind: FindingKind, place: str | None, version: int | None
) -> None:
    """Exactly one finding, of the right kind, at the right stream and version."""
    damage(filled, statement)
    found = Found()
    verification = verify(filled.owner_dsn, found)
    assert not verification.is_clean
    [(found_kind, found_place, found_version)] = found.places
    assert (found_kind, found_version) == (kind, version)
    assert place is None or found_place == place


def test_an_event_of_another_release_is_found(filled: ApplicationDatabase) -> None:
    """Its digest can be right; it still cannot be read here."""
    damage(filled, f"UPDATE sat.events SET type = 'OrderTeleported' {AT_FIRST} 2")
    found = Found()
    verify(filled.reader_dsn, found)
    assert found.places == [
        (FindingKind.DIGEST_MISMATCH, FIRST, 2),
        (FindingKind.UNKNOWN_EVENT, FIRST, 2),
    ]


def test_an_event_that_cannot_be_read_is_found_without_its_values(filled: ApplicationDatabase) -> None:
    """Text that is no event of its type."""
    damage(filled, f"UPDATE sat.events SET data = 'client 0812 secret' {AT_FIRST} 2")
    found = Found()
    verify(filled.reader_dsn, found)
    assert (FindingKind.UNREADABLE_EVENT, FIRST, 2) in found.places
    assert not any("secret" in str(finding) for finding in found.findings)


def test_versions_against_the_order_of_positions_are_found(filled: ApplicationDatabase) -> None:
    """Two events of a stream that changed places."""
    damage(
        filled,
        f"UPDATE sat.events SET version = 20 {AT_FIRST} 2",
        f"UPDATE sat.events SET version = 2 {AT_FIRST} 3",
        f"UPDATE sat.events SET version = 3 {AT_FIRST} 20",
    )
    found = Found()
    verify(filled.reader_dsn, found)
    assert (FindingKind.VERSION_ORDER, FIRST, 3) in found.places


PLANTED = (
    "INSERT INTO sat.events (position, stream, version, type, schema_version, data, actor, cause,"
    " occurred_at, recorded_at, digest) OVERRIDING SYSTEM VALUE SELECT 900, '{}', 1, type, schema_version,"
    " data, actor, cause, occurred_at, recorded_at, digest FROM sat.events WHERE position = 2"
)


@pytest.mark.parametrize(
    ("statement", "kind", "position"),
    [
        (PLANTED.format(f"ghost/{'A' * 26}"), FindingKind.UNKNOWN_EVENT, 900),
        ("UPDATE sat.events SET occurred_at = '4000-01-01 BC' {}", FindingKind.DIGEST_MISMATCH, 3),
        ("UPDATE sat.events SET occurred_at = '20000-01-01' {}", FindingKind.DIGEST_MISMATCH, 3),
        ("UPDATE sat.events SET occurred_at = 'infinity' {}", FindingKind.DIGEST_MISMATCH, 3),
        ("UPDATE sat.events SET recorded_at = '4000-01-01 BC' {}", FindingKind.CHECKPOINT_EVENTS, 1),
        ("UPDATE sat.events SET recorded_at = '-infinity' {}", FindingKind.CHECKPOINT_EVENTS, 1),
    ],
)
def test_what_python_cannot_hold_is_found_and_not_stumbled_over(
    filled: ApplicationDatabase, tmp_path: Path, statement: str, kind: FindingKind, position: int
) -> None:
    """A stream of no kind, times before the year 1 or after 9999: they stop no verification."""
    notary = Notary(filled, tmp_path / "published")
    notary.make()
    damage(filled, statement.format("WHERE position = 3"))
    _, found = notary.verify()
    assert [(finding.kind, finding.position) for finding in found.findings] == [(kind, position)]


def test_a_stream_of_no_kind_stops_a_rebuild_with_its_place(filled: ApplicationDatabase) -> None:
    """A comparison alone reports a difference."""
    damage(filled, PLANTED.format(f"ghost/{'A' * 26}"))
    found = Found()
    with closing(Database(filled.owner_dsn)) as owner:
        compare_projections(owner, found)
        with pytest.raises(RebuildRefusedError, match="position 900"):
            rebuild_projections(owner)
    assert [finding.position for finding in found.findings] == [900]


def test_every_problem_is_reported_and_counted(
    filled: ApplicationDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first problem does not hide the others, whatever the size of a fetch."""
    monkeypatch.setattr("sat_hook.store.statements.ROWS_PER_FETCH", 2)
    damage(filled, "UPDATE sat.events SET actor = 'user:eve'")
    found = Found()
    verification = verify(filled.reader_dsn, found)
    assert verification.counts == {FindingKind.DIGEST_MISMATCH: 3 * ORDERS + 1}
    assert len(found.findings) == 3 * ORDERS + 1
    first = min(found.findings, key=lambda finding: finding.position or 0)
    assert (first.position, first.version) == (1, 1)


def test_a_log_that_grows_meanwhile_is_still_clean(filled: ApplicationDatabase) -> None:
    """One snapshot: events and heads of an append are both seen, or neither."""
    store = PostgresEventStore(Database(filled.writer_dsn))
    ended = threading.Event()

    def grow() -> None:
        number = 100
        while not ended.is_set():
            store.append([change_of(None, number, received(number))], BY_TEST, T0)
            number += 1

    growing = threading.Thread(target=grow)
    growing.start()
    try:
        for _ in range(10):
            found = Found()
            verify(filled.reader_dsn, found)
            assert found.findings == []
    finally:
        ended.set()
        growing.join()
        store.database.close()


def test_a_callback_whose_bytes_changed_is_found(filled: ApplicationDatabase) -> None:
    """The inbox is evidence too."""
    receive_callback(filled.receiver_dsn, request_id_of(ACCOUNT, "order-1"), PROOF.body.encode())
    assert verify(filled.owner_dsn, Found()).is_clean
    damage(filled, "UPDATE sat.callback_inbox SET body = 'forged'")
    found = Found()
    verify(filled.owner_dsn, found)
    assert found.places == [(FindingKind.EVIDENCE_CHANGED, f"callback_inbox/{PROOF.digest}", None)]
