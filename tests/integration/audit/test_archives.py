"""Months of the log in archive files: the log verifies as before, and nothing is lost at any line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd
import pytest

from sat_hook.application.log_archive import LogArchive
from sat_hook.audit import checkpoints
from sat_hook.audit.errors import ArchiveRefusedError, ArchiveUnreadableError
from sat_hook.audit.findings import FindingKind
from sat_hook.audit.log_verification import verify_part
from sat_hook.audit.rebuild import compare_projections, rebuild_projections
from sat_hook.audit.replay import replay
from sat_hook.clients.clock import SystemClock
from sat_hook.domain import order_events as happened
from sat_hook.domain.log_archives import EventsArchived
from sat_hook.store.database import Database
from sat_hook.store.errors import LogArchivedError
from sat_hook.store.log_archives import LogArchives, PartitionExchange
from sat_hook.store.log_partitions import LogPartitions
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.store.spool import LocalSpool
from stack.databases import ApplicationDatabase
from tests.integration.audit.damage import PROOF, SUCCEEDED, VALIDATED, Found, damage, order_stream
from tests.integration.audit.keeping import EVENT_COLUMNS, Notary
from tests.orders import BATCH, BY_TEST, T0, change_of, received, stream_of, submitted
from tests.sql import execute
from tests.unit.cli.running import Run

LAST_MONTH = "UPDATE sat.events SET recorded_at = recorded_at - interval '100 days'"
ALL_EVENTS = f"SELECT {EVENT_COLUMNS} FROM sat.events ORDER BY position"
SPANNING, OPEN = 4, 5
"""Orders 1 to 3 ended in the first month, order 4 in the second, order 5 has no end."""


@dataclass
class Office:
    """A log of two months under checkpoints of four events, one of which has events of both months."""

    notary: Notary
    store: PostgresEventStore
    owner: Database
    archive: LogArchive

    @property
    def database(self) -> ApplicationDatabase:
        return self.notary.database

    def events(self) -> list[tuple[object, ...]]:
        """Everything in the database that is about orders and batches."""
        rows = execute(self.database.owner_dsn, ALL_EVENTS)
        return [row for row in rows if not str(row[1]).startswith("log/")]

    def archived(self) -> EventsArchived:
        return self.archive.archive("events_0000")

    def file(self, archived: EventsArchived) -> Path:
        return Path(urlsplit(archived.uri).path)


@pytest.fixture
def office(
    database: ApplicationDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Office]:
    monkeypatch.setattr(checkpoints, "MAXIMUM_EVENTS", 4)
    notary = Notary(database, tmp_path / "published")
    (tmp_path / "archive").mkdir()
    spool = LocalSpool(tmp_path / "archive")
    with closing(Database(database.writer_dsn)) as opened, closing(Database(database.owner_dsn)) as owner:
        store = PostgresEventStore(opened)
        ended = [change_of(None, n, received(n), VALIDATED, SUCCEEDED, evidence=(PROOF,)) for n in (1, 2, 3)]
        begun = [change_of(None, n, received(n), VALIDATED) for n in (SPANNING, OPEN)]
        assert store.append([submitted(), *ended, *begun], BY_TEST, T0) == frozenset()
        damage(database, LAST_MONTH)
        assert LogPartitions(opened).make_ahead().is_turned
        order = store.load_orders([stream_of(SPANNING).key])[stream_of(SPANNING).key]
        change = change_of(order, SPANNING, SUCCEEDED, evidence=(PROOF,))
        assert store.append([change], BY_TEST, T0) == frozenset()
        notary.make()
        archive = LogArchive(owner, spool, notary.keys, notary.publication, SystemClock())
        yield Office(notary, store, owner, archive)


def test_an_archived_month_verifies_as_before(office: Office) -> None:
    """Streams, digests and the chain go through the file; what is still in use stays in the database."""
    before, _ = office.notary.verify()
    archived = office.archived()
    assert (archived.events, archived.moved_events) == (14, 11)
    left = [(row[1], row[2]) for row in office.events()]
    assert left == [
        (f"batch/{BATCH}", 1),
        (order_stream(OPEN), 1),
        (order_stream(OPEN), 2),
        (order_stream(SPANNING), 3),
    ]
    office.notary.make()
    after, found = office.notary.verify()
    assert found.findings == []
    # The archive itself is an event of a stream of its own.
    assert (after.events, after.streams) == (before.events + 1, before.streams + 1)
    assert after.chain.uncovered_events == 0
    assert LogArchives(office.owner).in_effect() == [archived]
    with pytest.raises(ArchiveRefusedError, match="archived already"):
        office.archived()


def test_parts_of_the_log_read_files_to_their_end(office: Office) -> None:
    """The background verification goes through the whole log, and each event is verified once."""
    archived = office.archived()
    office.notary.make()
    whole, _ = office.notary.verify()
    found, after, parts = Found(), 0, []
    while part := verify_part(office.store.database, found, office.notary.trust, after, 1):
        parts.append((part.checkpoints, part.events))
        after = part.checkpoints
    assert found.findings == []
    assert parts[0][0] == archived.checkpoint
    assert sum(events for _, events in parts) == whole.events


def test_everybody_can_read_the_file(office: Office) -> None:
    """It has every event of the month with all its columns, as the database had them."""
    before = office.events()
    archived = office.archived()
    frame = pd.read_parquet(office.file(archived))
    assert list(frame.columns) == EVENT_COLUMNS.split(", ")
    rows = [row for row in before if archived.first_position <= row[0] <= archived.last_position]
    assert [tuple(row) for row in frame.itertuples(index=False)] == rows
    assert office.file(archived).name == f"{archived.digest}.parquet"


def test_a_changed_or_lost_file_is_one_finding(office: Office) -> None:
    """It names the file; the checkpoints over it do not each say so again. It is never brought back."""
    archived = office.archived()
    office.notary.make()
    file = office.file(archived)
    file.write_bytes(file.read_bytes().replace(b"test", b"best"))
    for _ in ("changed", "lost"):
        _, found = office.notary.verify()
        assert [finding.kind for finding in found.findings] == [FindingKind.ARCHIVE_UNREADABLE]
        assert str(file) in found.findings[0].found
        with pytest.raises(ArchiveUnreadableError):
            office.archive.restore(archived.partition)
        file.unlink(missing_ok=True)


def test_a_stop_at_any_line_loses_nothing(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """The partition stays as it was until one transaction does everything; then the next try works."""
    before = office.events()

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    for where, line in ((PartitionExchange, "keep"), (PartitionExchange, "swap"), (LogArchive, "_record")):
        with monkeypatch.context() as stopped:
            stopped.setattr(where, line, stop)
            with pytest.raises(KeyboardInterrupt):
                office.archived()
        assert office.events() == before
        assert office.notary.verify()[1].findings == []
    assert office.archived().moved_events == 11


def test_readers_say_archived_and_a_restore_brings_everything_back(office: Office) -> None:
    """A typed error names the file and the command; afterwards every byte is as it was."""
    before = office.events()
    archived = office.archived()
    said = r"archived in file:///.*\.parquet; .*sat retention restore events_0000"
    for number in (1, SPANNING):
        with pytest.raises(LogArchivedError, match=said):
            office.store.read_stream(stream_of(number))
    past = office.store.as_of(office.store.close_position())
    with pytest.raises(LogArchivedError, match=said):
        past.load_orders([stream_of(1).key])
    with pytest.raises(LogArchivedError, match=said):
        past.count_by_state(BATCH)
    assert len(office.store.read_stream(stream_of(OPEN))) == 2
    assert office.store.load_orders([stream_of(1).key])[stream_of(1).key].version == 3
    restored = office.archive.restore("events_0000")
    assert restored.digest == archived.digest
    assert office.events() == before
    assert len(office.store.read_stream(stream_of(SPANNING))) == 3
    assert all(partition.is_guarded for partition in LogPartitions(office.owner).all())
    office.notary.make()
    assert office.notary.verify()[1].findings == []
    with pytest.raises(ArchiveRefusedError, match="found no archive of this partition"):
        office.archive.restore("events_0000")
    assert office.archived().digest == archived.digest


def test_rows_of_archived_orders_stay(office: Office) -> None:
    """A comparison finds nothing, a rebuild removes nothing, a replay folds what is there."""
    orders = "SELECT request_id, document FROM sat.orders ORDER BY 1"
    rows = execute(office.database.owner_dsn, orders)
    office.archived()
    found = Found()
    assert compare_projections(office.owner, found).is_clean, found.findings
    assert rebuild_projections(office.owner).orders == 1
    assert execute(office.database.owner_dsn, orders) == rows
    assert replay(office.owner, [], found).is_clean, found.findings


def test_a_late_status_of_an_archived_order_lands(office: Office) -> None:
    """Its stream goes on in the database, and verifies across the file."""
    office.archived()
    key = stream_of(1).key
    order = office.store.load_orders([key])[key]
    late = happened.StatusNotFound(attempt=1, asked_at=T0)
    assert office.store.append([change_of(order, 1, late)], BY_TEST, T0) == frozenset()
    assert office.store.append([change_of(None, 1, received(1))], BY_TEST, T0) == frozenset({stream_of(1)})
    office.notary.make()
    assert office.notary.verify()[1].findings == []
    assert compare_projections(office.owner, Found()).is_clean
    assert office.archive.restore("events_0000")
    assert [event.version for event in office.store.read_stream(stream_of(1))] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("statement", "kinds"),
    [
        (
            "UPDATE sat.events SET data = '{}' WHERE type = 'BatchSubmitted'",
            {FindingKind.DIGEST_MISMATCH, FindingKind.UNREADABLE_EVENT},
        ),
        ("UPDATE sat.events SET digest = repeat('0', 64) WHERE type = 'BatchSubmitted'",
         {FindingKind.DIGEST_MISMATCH, FindingKind.ARCHIVE_DIFFERS}),
        ("UPDATE sat.stream_heads SET version = 4 WHERE stream = '{stream}'", {FindingKind.HEAD_MISMATCH}),
        ("DELETE FROM sat.stream_heads WHERE stream = '{stream}'", {FindingKind.HEAD_MISSING}),
    ],
)  # fmt: skip
def test_damage_beside_a_file_is_found(office: Office, statement: str, kinds: set[FindingKind]) -> None:
    """In the events that stayed, and in the heads of streams that are archived."""
    office.archived()
    office.notary.make()
    damage(office.database, statement.replace("{stream}", order_stream(1)))
    _, found = office.notary.verify()
    assert {finding.kind for finding in found.findings} == kinds


def test_a_damaged_month_is_not_archived(office: Office) -> None:
    """The file is verified before anything leaves the database, and the place of the damage is named."""
    damage(office.database, "UPDATE sat.events SET actor = 'user:mallory' WHERE position = 3")
    with pytest.raises(ArchiveRefusedError, match="position 3: found contents with digest"):
        office.archived()
    damage(office.database, "DELETE FROM sat.events WHERE position = 3")
    with pytest.raises(ArchiveRefusedError, match=r"does not verify: checkpoint 1 .*checkpoint_events"):
        office.archived()


def test_the_command_says_why_a_month_must_stay(office: Office, run: Run, tmp_path: Path) -> None:
    """An unsigned day, an unpublished checkpoint, a missing key; then it archives, lists and brings back."""
    key, policy = tmp_path / "audit.pem", tmp_path / "retention.toml"
    key.write_bytes(office.notary.signer.public_key_pem())
    policy.write_text("[events]\nkeep_days = 62\n")
    env = {
        "SAT_DB_DSN": office.database.reader_dsn,
        "SAT_OWNER_DSN": office.database.owner_dsn,
        "SAT_SPOOL_URI": tmp_path.as_uri(),
        "SAT_RESULTS_URI": tmp_path.as_uri(),
        "SAT_ARCHIVE_URI": (tmp_path / "archive").as_uri(),
        "SAT_RETENTION_FILE": str(policy),
        "SAT_CHECKPOINTS_URI": office.notary.folder.as_uri(),
    }
    assert "events_0000: no public audit key is given" in run("retention", "plan", env=env).out
    env["SAT_AUDIT_PUBLIC_KEYS"] = str(key)
    assert "is not signed off" in run("retention", "plan", env=env).out
    policy.write_text("require_signed_days = false\n[events]\nkeep_days = 62\n")
    published = office.notary.folder.rename(tmp_path / "elsewhere")
    office.notary.folder.mkdir()
    assert "over its last event is not published" in run("retention", "run", env=env).out
    office.notary.folder.rmdir()
    published.rename(office.notary.folder)
    assert "events: 1 go after 62 days" in run("retention", "plan", env=env).out
    assert "events: 1 go after 62 days" in run("retention", "run", env=env).out
    assert "events_0000" in run("retention", "archives", env=env).out
    assert "Restored events_0000" in run("retention", "restore", "events_0000", env=env).out
    again = run("retention", "restore", "events_0000", env=env)
    assert (again.code, "found no archive of this partition" in again.err) == (2, True)
